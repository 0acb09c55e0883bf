"""SIGKILL to the server: no run is lost, nothing that finished is done again, everybody reconnects."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentspan.agents import AgentRuntime
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, following
from .ledger_agent import agent as ledger_agent


def kill(server: LocalServer) -> None:
    state = server.status()
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    wait_until(lambda: server.status() is None, "the server to be gone")


def script(steps: int) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        done = int(request.last_result.output["result"]) + 1 if request.last_result else 0
        return call("work", number=done, seconds=0.2).after(0.1) if done < steps else say("done")

    return reply


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("steps", "kills"),
    [
        (14, 4),
        pytest.param(80, 20, marks=pytest.mark.long),
    ],
)
def test_a_run_survives_the_death_of_its_server(
    server: LocalServer, model: Stage, tmp_path: Path, steps: int, kills: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    agent = dataclasses.replace(ledger_agent, model=model.play(script(steps)))
    ledger = Ledger(tmp_path / "ledger.jsonl", server.url)
    stalls = []
    with ledger.worker() as worker, AgentRuntime(server.url) as runtime:
        handle = runtime.start(agent, "Go.", serve=False)
        with following(handle) as seen, explained(runtime, handle.execution_id):
            for number in sorted(chance.sample(range(1, steps - 1), kills)):
                wait_until(lambda number=number: ledger.begun()[number] > 0, f"call {number} to begin", 120)
                time.sleep(chance.uniform(0, 0.6))  # the random moment is the point of the test
                kill(server)
                before = len(ledger.entries("begin"))
                server.start()
                up = time.time()
                if before < steps:
                    wait_until(lambda before=before: len(ledger.entries("begin")) > before, "the run to move", 120)
                    stalls.append(round(ledger.entries("begin")[before]["at"] - up, 1))
            result = handle.result(timeout=120)
        print("stalls after being up again", stalls, worker.log[-3000:])

    assert result.output == "done"
    ledger.check_once_each(range(steps))
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen == list(handle.stream())
    assert max(stalls, default=0) < 40, f"{stalls}: the engine alone needs up to 122 s"
