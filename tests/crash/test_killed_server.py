"""SIGKILL to the server: no run is lost, nothing that finished is done again, everybody reconnects."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from pathlib import Path

import pytest

from agentspan.agents import AgentRuntime
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger
from .ledger_agent import agent as ledger_agent

STEPS = 12


def kill(server: LocalServer) -> None:
    state = server.status()
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    wait_until(lambda: server.status() is None, "the server to be gone")


def reply(request: ModelRequest) -> Reply:
    if request.turn < STEPS:
        return call("work", number=request.turn, seconds=0.2).after(0.1)
    return say("done")


@pytest.mark.timeout(600)
def test_a_run_survives_the_death_of_its_server(server: LocalServer, model: Stage, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")
    agent = dataclasses.replace(ledger_agent, model=model.play(reply))
    ledger = Ledger(tmp_path / "ledger.jsonl", server.url)
    stalls = []
    with ledger.worker() as worker, AgentRuntime(server.url) as runtime:
        handle = runtime.start(agent, "Go.", serve=False)
        events = iter(handle.stream())
        for number in sorted(chance.sample(range(1, STEPS - 1), 3)):
            wait_until(lambda number=number: ledger.begun()[number] > 0, f"call {number} to begin")
            wait_until(lambda: chance.random() < 0.05, "a random moment")
            kill(server)
            before = len(ledger.entries("begin"))
            state = server.start()
            started = state.started
            wait_until(lambda before=before: len(ledger.entries("begin")) > before, "the run to move", 120)
            stalls.append(round(ledger.entries("begin")[-1]["at"] - started, 1))
        seen = list(events)
        result = handle.result(timeout=60)
        print("stalls after start", stalls, worker.log[-500:])

    assert result.output == "done"
    assert dict(ledger.ended()) == dict.fromkeys(range(STEPS), 1)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen == list(handle.stream())
    assert max(stalls) < 40, f"{stalls}: the engine alone needs up to 122 s"
