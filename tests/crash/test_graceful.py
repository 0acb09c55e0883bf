"""A worker that is asked to stop finishes what it has, or hands it back."""

from __future__ import annotations

import dataclasses
import threading
import time

from agentspan.agents import Agent, AgentRuntime, tool
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger
from .ledger_agent import agent as ledger_agent


def test_sigterm_lets_the_running_call_finish(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    name = model.play([call("work", number=1, seconds=2.0), say("done")])
    with ledger.worker() as worker:
        handle = runtime.start(dataclasses.replace(ledger_agent, model=name), "Go.", serve=False)
        wait_until(lambda: ledger.begun()[1] == 1, "the call to begin")
        assert worker.terminate() == 0

    assert handle.result(timeout=30).output == "done"
    assert ledger.begun() == ledger.ended() == {1: 1}


def test_drain_says_how_long_running_calls_may_take(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    agent = dataclasses.replace(ledger_agent, model=model.play([call("wait", number=1), say("done")]))
    with ledger.worker("--drain", "0") as impatient:
        handle = runtime.start(agent, "Go.", serve=False)
        wait_until(lambda: ledger.begun()[1] == 1, "the call to begin")
        assert impatient.terminate() == 0
    assert ledger.ended() == {}, "it was not waited for"

    ledger.path.with_name("go-on").touch()
    with ledger.worker():
        assert handle.result(timeout=60).output == "done"
    assert (ledger.begun(), ledger.ended()) == ({1: 2}, {1: 1})
    assert len({entry["key"] for entry in ledger.entries("begin")}) == 1
    assert [event.type for event in handle.stream()].count("tool_retry") == 0


def test_what_is_not_done_in_time_is_handed_back_and_taken_at_once(model: Stage, conductor_url: str) -> None:
    began: list[float] = []
    release = threading.Event()

    @tool
    def wait_first() -> str:
        """Hang the first time."""
        began.append(time.monotonic())
        if len(began) == 1:
            release.wait(60)
        return "served"

    agent = Agent("handed_back", model=model.play([call("wait_first"), say("done")]), tools=[wait_first])
    first = AgentRuntime(conductor_url)
    handle = first.start(agent, "Go.")
    wait_until(lambda: began, "the call to begin")
    with AgentRuntime(conductor_url) as second:
        second.serve(agent, blocking=False)
        first.shutdown(timeout=0.2)
        stopped = time.monotonic()
        assert handle.result(timeout=30).output == "done"
    release.set()

    assert len(began) == 2
    assert began[1] - stopped < 4, "handed back at once, not after the lease of five seconds"
    assert [event.type for event in handle.stream()].count("tool_retry") == 0
