"""One long run, its workers and its server killed again and again at random moments."""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from agentspan.agents import AgentRuntime
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, following, kill, restart
from .ledger_agent import agent as ledger_agent


class Chaos:
    """Kills the worker or the server, starts another, and notes how long the run then stood still."""

    def __init__(self, chance: random.Random, server: LocalServer, ledger: Ledger, steps: int) -> None:
        self._chance, self._server, self._ledger, self._steps = chance, server, ledger, steps
        self._worker: WorkerProcess = ledger.worker().start()
        self.stalls: dict[str, list[float]] = {"worker": [], "server": []}

    def strike(self) -> None:
        time.sleep(self._chance.uniform(0, 1.5))  # the random moment is the point of the test
        victim = self._chance.choice(["worker", "server"])
        before = len(self._ledger.entries("end"))
        if victim == "worker":
            self._worker.kill()
            self._worker = self._ledger.worker().start()
        else:
            kill(self._server)
            restart(self._server)
        ready = time.time()
        if before < self._steps:
            wait_until(
                lambda: len(self._ledger.entries("end")) > before, f"the run to move after a kill of the {victim}", 180
            )
            at = self._ledger.entries("end")[before]["at"]
            self.stalls[victim].append(round(max(0.0, at - ready), 1))

    def close(self) -> None:
        self._worker.kill()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("steps", "kills"),
    [
        (20, 3),
        pytest.param(200, 30, marks=pytest.mark.long),
        pytest.param(1000, 60, marks=pytest.mark.long),
    ],
)
def test_a_run_survives_random_kills_of_its_worker_and_its_server(
    server: LocalServer, model: Stage, tmp_path: Path, steps: int, kills: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")

    def reply(request: ModelRequest) -> Reply:
        done = int(request.last_result.output["result"]) + 1 if request.last_result else 0
        return call("work", number=done, seconds=0.05) if done < steps else say("done")

    agent = dataclasses.replace(ledger_agent, model=model.play(reply))
    ledger = Ledger(tmp_path / "ledger.jsonl", server.url)
    chaos = Chaos(random.Random(seed), server, ledger, steps)
    runtime = AgentRuntime(server.url)
    handle = runtime.start(agent, "Go.", serve=False)
    with closing(chaos), following(handle) as seen, explained(runtime, handle.execution_id):
        for number in range(kills):
            due = number * steps // (kills + 1)
            wait_until(lambda due=due: len(ledger.ended()) > due, f"step {due}", 300)
            chaos.strike()
        result = handle.result(timeout=1800)
    print("stalls after being up again", chaos.stalls)

    assert result.output == "done"
    assert set(ledger.ended()) == set(range(steps)), "no step is missing"
    keys = {number: {e["key"] for e in ledger.entries("begin") if e["number"] == number} for number in range(steps)}
    assert all(len(of_step) == 1 for of_step in keys.values()), "a repeated call has the same key"
    repeats = Counter({n: times for n, times in ledger.ended().items() if times > 1})
    assert sum(repeats.values()) - len(repeats) <= kills, "only what was in flight is repeated"
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen == list(handle.stream()), "a reader that lived through it all saw what a late one sees"
    assert [event.type for event in seen].count("tool_result") == steps
