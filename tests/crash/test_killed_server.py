"""SIGKILL to the server: no run is lost, nothing that finished is done again, everybody reconnects."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from agentspan.agents import AgentHandle, AgentRuntime, Event
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, following, kill, restart
from .ledger_agent import agent as ledger_agent


def script(steps: int) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        done = int(request.last_result.output["result"]) + 1 if request.last_result else 0
        return call("work", number=done, seconds=0.2).after(0.1) if done < steps else say("done")

    return reply


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("steps", "kills"),
    [
        (10, 2),
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
    rejoined: list[Event] = []  # by a reader that comes back with its cursor after each restart
    with ledger.worker() as worker, AgentRuntime(server.url) as runtime:
        handle = runtime.start(agent, "Go.", serve=False)
        with following(handle) as seen, explained(runtime, handle.execution_id):
            for number in sorted(chance.sample(range(1, steps - 1), kills)):
                wait_until(lambda number=number: ledger.begun()[number] > 0, f"call {number} to begin", 120)
                time.sleep(chance.uniform(0, 0.6))  # the random moment is the point of the test
                kill(server)
                before = len(ledger.entries("begin"))
                restart(server)
                up = time.time()
                rejoined += islice(AgentHandle(handle.execution_id, runtime).stream(from_=len(rejoined)), 3)
                if before < steps:
                    wait_until(lambda before=before: len(ledger.entries("begin")) > before, "the run to move", 120)
                    stalls.append(round(ledger.entries("begin")[before]["at"] - up, 1))
            result = handle.result(timeout=120)
        rejoined += AgentHandle(handle.execution_id, runtime).stream(from_=len(rejoined))
        print("stalls after being up again", stalls, worker.log[-3000:])

    assert result.output == "done"
    ledger.check_once_each(range(steps))
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen == rejoined == list(handle.stream())
    assert max(stalls, default=0) < 40, f"{stalls}: the engine alone needs up to 122 s"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("away", [10, pytest.param(300, marks=pytest.mark.long)])
def test_a_result_waits_for_a_server_that_is_away_and_so_do_readers(
    server: LocalServer, model: Stage, tmp_path: Path, away: float
) -> None:
    agent = dataclasses.replace(ledger_agent, model=model.play([call("work", number=0, seconds=2.0), say("done")]))
    ledger = Ledger(tmp_path / "ledger.jsonl", server.url)
    with ledger.worker(), AgentRuntime(server.url) as runtime:
        handle = runtime.start(agent, "Go.", serve=False)
        wait_until(lambda: ledger.begun()[0] == 1, "the call to begin")
        kill(server)
        killed = time.monotonic()
        results: list[str] = []
        waiter = threading.Thread(target=lambda: results.append(handle.result(timeout=600).output), daemon=True)
        waiter.start()
        with following(handle) as seen, explained(runtime, handle.execution_id):
            wait_until(lambda: ledger.ended()[0] == 1, "the call to end")
            wait_until(lambda: time.monotonic() - killed > away, "the server to be away for long", away + 60)
            restart(server)
            waiter.join(120)

        assert results == ["done"], "a waiter whose server died before its first read"
        # The server may take the call for lost before it hears of the result; it is not run again for that.
        types = [event.type for event in seen if event.type != "tool_retry"]
        assert types == ["step", "tool_call", "tool_result", "step", "done"]
        assert ledger.begun() == ledger.ended() == {0: 1}
