"""Two thousand steps with results of 4 KB, the worker and the server killed on the way."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentspan.agents import AgentRuntime
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, following, kill, restart
from .ledger_agent import archivist

STEPS = int(os.environ.get("AGENTSPAN_LONG_STEPS", "2000"))


def script(request: ModelRequest) -> Reply:
    done = int(request.last_result.output["result"]["number"]) + 1 if request.last_result else 0
    return call("fetch", number=done) if done < STEPS else say("done")


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_a_run_of_thousands_of_steps_is_killed_and_completes(server: LocalServer, model: Stage, tmp_path: Path) -> None:
    agent = archivist(model.play(script))
    ledger = Ledger(tmp_path / "ledger.jsonl", server.url, "ledger_agent:long_agent")
    runtime = AgentRuntime(server.url)
    handle = runtime.start(agent, "Go.", serve=False)
    with ExitStack() as workers, following(handle) as seen, explained(runtime, handle.execution_id):
        worker = workers.enter_context(ledger.worker())
        for quarter, victim in enumerate(("worker", "server", "both"), 1):
            due = quarter * STEPS // 4
            wait_until(lambda due=due: len(ledger.ended()) >= due, f"step {due}", 3600)
            if victim != "server":
                worker.kill()
            if victim != "worker":
                kill(server)
                restart(server)
            if victim != "server":
                worker = workers.enter_context(ledger.worker())
        result = handle.result(timeout=2 * 3600)

    assert (result.output, result.steps) == ("done", STEPS + 1)
    assert set(ledger.ended()) == set(range(STEPS))
    results = [event.result for event in seen if event.type == "tool_result"]
    assert [found["number"] for found in results] == list(range(STEPS))
    assert {len(found["text"]) for found in results} == {4096}
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    middle = len(seen) // 2
    assert list(handle.stream(from_=middle)) == seen[middle:]
