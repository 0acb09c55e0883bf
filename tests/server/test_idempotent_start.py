"""One key, one run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentRuntime
from agentspan.control import claims
from agentspan.testing import say, wait_until
from agentspan.testing.plugin import Stage

PROCESSES = 20

SCRIPT = """
import sys, time
from pathlib import Path
from agentspan.agents import Agent, AgentRuntime

folder, model = Path(sys.argv[1]), sys.argv[2]
agent = Agent("once", model=model)
runtime = AgentRuntime()
runtime.register(agent)
(folder / f"ready-{sys.argv[3]}").touch()
while not (folder / "go").exists():
    time.sleep(0.005)
print(runtime.start(agent, "Go.", idempotency_key="order 17 / é").execution_id)
"""


def test_twenty_processes_at_once_start_one_run(
    runtime: AgentRuntime, model: Stage, conductor_url: str, tmp_path: Path
) -> None:
    name = model.play([say("done")])
    environment = {**os.environ, "AGENTSPAN_SERVER_URL": conductor_url}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), name, str(number)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == PROCESSES, "all processes to be ready", 120)
        (tmp_path / "go").touch()
        ids = {process.communicate(timeout=60)[0].strip() for process in started}
    finally:
        for process in started:
            process.kill()
            process.communicate()

    assert len(ids) == 1
    again = runtime.start(Agent("once", model=name), "Go.", idempotency_key="order 17 / é")
    assert {again.execution_id} == ids
    assert again.result(timeout=60).output == "done"
    assert len(model.requests(name)) == 1, "the model was called for one run only"
    versions = runtime.client.call("GET", "/metadata/workflow/names-and-versions")
    assert not [claim for claim in versions if claim.startswith("once.start.")], "claims are removed"


def test_another_key_or_another_agent_is_another_run(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([say("done")])
    starts = [("one", "a"), ("one", "b"), ("two", "a"), ("one", "a")]

    ids = [runtime.start(Agent(agent, model=name), "Go.", idempotency_key=key).execution_id for agent, key in starts]

    assert len(set(ids)) == 3
    assert ids[0] == ids[3]


def test_a_claim_whose_process_died_is_taken_over(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("taken_over", model=model.play([say("done")]))
    version = runtime.register(agent)
    digest_of_dead: list[dict[str, object]] = []
    create = runtime.client.create_workflow_definition

    def die_after_the_claim(definition: dict[str, object]) -> bool:
        create(definition)
        digest_of_dead.append(definition)
        raise KeyboardInterrupt

    runtime.client.create_workflow_definition = die_after_the_claim  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        claims.start_once(runtime.client, agent.name, version, {"prompt": "Go."}, "k")
    runtime.client.create_workflow_definition = create  # type: ignore[method-assign]
    assert digest_of_dead

    patience, claims.PATIENCE = claims.PATIENCE, 0.5
    try:
        handle = runtime.start(agent, "Go.", idempotency_key="k")
    finally:
        claims.PATIENCE = patience

    assert handle.result(timeout=60).output == "done"
