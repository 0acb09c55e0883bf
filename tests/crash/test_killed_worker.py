"""SIGKILL to a worker: the run goes on, nothing that finished is done again."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

from agentspan.agents import Agent, AgentRuntime
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger
from .ledger_agent import agent as ledger_agent


def script(steps: int, seconds: float) -> object:
    def reply(request: ModelRequest) -> Reply:
        return call("work", number=request.turn, seconds=seconds) if request.turn < steps else say("done")

    return reply


def an_agent(model: Stage, steps: int, seconds: float) -> Agent:
    return dataclasses.replace(ledger_agent, model=model.play(script(steps, seconds)))


def test_a_call_whose_worker_dies_runs_again_in_another_with_the_same_key(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    agent = an_agent(model, steps=3, seconds=1.0)
    handle = runtime.start(agent, "Go.", serve=False)
    with ledger.worker() as first:
        wait_until(lambda: ledger.begun()[1] == 1, "the second call to begin")
        first.kill()
    with ledger.worker():
        result = handle.result(timeout=60)

    assert result.output == "done"
    assert ledger.ended() == {0: 1, 1: 1, 2: 1}
    assert ledger.begun() == {0: 1, 1: 2, 2: 1}
    once, again = [entry for entry in ledger.entries("begin") if entry["number"] == 1]
    assert once["key"] == again["key"]
    assert (once["attempt"], again["attempt"]) == (1, 2)
    types = [event.type for event in handle.stream()]
    assert types.count("tool_retry") == 1
    assert types.count("tool_result") == 3


def test_the_second_and_third_death_of_a_run_are_noticed_as_fast_as_the_first(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    agent = an_agent(model, steps=4, seconds=2.0)
    stalls = []
    with ExitStack() as stack:
        workers = [stack.enter_context(ledger.worker()) for _ in range(2)]
        handle = runtime.start(agent, "Go.", serve=False)
        for number in range(3):
            wait_until(lambda number=number: ledger.begun()[number] >= 1, f"call {number}")
            first = ledger.entries("begin")[-1]
            next(worker for worker in workers if worker.pid == first["pid"]).kill()
            workers.append(stack.enter_context(ledger.worker()))
            wait_until(lambda number=number: ledger.begun()[number] >= 2, f"call {number} to run again", 30)
            stalls.append(round(ledger.entries("begin")[-1]["at"] - first["at"], 1))
        result = handle.result(timeout=60)

    assert result.output == "done"
    assert ledger.ended() == {0: 1, 1: 1, 2: 1, 3: 1}
    assert max(stalls) < 30, f"{stalls}: the engine alone takes 60 to 120 s for the second and third"


def test_a_worker_killed_while_it_polls_takes_nothing_with_it(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    agent = an_agent(model, steps=2, seconds=0.0)
    runtime.register(agent)
    with ledger.worker() as first:
        first.kill()
    handle = runtime.start(agent, "Go.", serve=False)
    with ledger.worker():
        assert handle.result(timeout=60).output == "done"

    assert ledger.begun() == {0: 1, 1: 1}
