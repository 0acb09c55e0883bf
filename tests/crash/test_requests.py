"""SIGKILL while requests wait for a person, as they are decided, and right after: one decision, one call."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ModelSettings, Request
from agentspan.server import LocalServer
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, kill, restart
from .ledger_agent import paying_agent


def an_agent(model: Stage, *replies: Any) -> Agent:
    settings = ModelSettings(base_url=model.server.openai_url)
    return dataclasses.replace(paying_agent, model=model.play([*replies, say("done")]), model_settings=settings)


def paying(ledger: Ledger, url: str | None = None) -> Ledger:
    return dataclasses.replace(ledger, target="ledger_agent:paying_agent", url=url or ledger.url)


def asked(handle: AgentHandle[str], count: int) -> list[Request]:
    wait_until(lambda: len(handle.requests()) == count, f"{count} requests")
    return handle.requests()


def test_a_decision_needs_no_worker_and_outlives_those_that_asked(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    turn = calls(*(call("pay", number=number, seconds=0.0) for number in range(3)), call("work", number=9, seconds=0.0))
    ledger = paying(ledger)
    handle = runtime.start(an_agent(model, turn), "Pay.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            waiting = asked(handle, 3)
            wait_until(lambda: ledger.ended()[9], "the call that needs nobody")
            wait_until(lambda: len(told_of(ledger)) == 3, "the notices")
            first.kill()
        runtime.approve(waiting[2].id, by="ann")
        runtime.reject(waiting[1].id, "no", by="bob")
        runtime.approve(waiting[0].id, args={"number": 5, "seconds": 0.0}, by="ann")
        with ledger.worker():
            assert handle.result(timeout=90).output == "done"

    ledger.check_once_each([5, 2, 9])
    assert sorted(told_of(ledger)) == sorted(each.id for each in waiting)
    decided = [(event.approved, event.by) for event in handle.stream() if event.type == "decision"]
    assert decided == [(True, "ann"), (False, "bob"), (True, "ann")]


def told_of(ledger: Ledger) -> list[str]:
    path = ledger.path.with_name("told")
    return path.read_text().split() if path.exists() else []


def test_an_approved_call_whose_worker_dies_is_the_same_call_elsewhere(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    ledger = paying(ledger)
    handle = runtime.start(an_agent(model, call("pay", number=1, seconds=3.0)), "Pay.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            asked(handle, 1)
            handle.approve()
            wait_until(lambda: ledger.begun()[1], "the call")
            first.kill()
        with ledger.worker():
            assert handle.result(timeout=90).output == "done"

    ledger.check_once_each([1])
    begun = ledger.entries("begin")
    assert len({entry["key"] for entry in begun}) == 1
    assert [entry["attempt"] for entry in begun] == [1, 2]
    assert [event.type for event in handle.stream() if event.type in ("decision", "tool_retry")] == [
        "decision",
        "tool_retry",
    ]


@pytest.mark.timeout(400)
def test_the_server_is_killed_while_people_think(server: LocalServer, model: Stage, ledger: Ledger) -> None:
    """One request is decided right before the kill, one after it, and a deadline passes while nobody is there."""
    turn = calls(call("pay", number=1, seconds=0.0), call("pay", number=2, seconds=0.0), call("pay_soon", number=3))
    runtime = AgentRuntime(server.url)
    ledger = paying(ledger, server.url)
    handle = runtime.start(an_agent(model, turn), "Pay.", serve=False)
    with ledger.worker():
        first, second, soon = asked(handle, 3)
        runtime.approve(first.id)
        kill(server)
        assert soon.due is not None
        due = soon.due.timestamp()
        wait_until(lambda: runtime.client.now() > due, "the deadline")
        restart(server)
        wait_until(lambda: (runtime.request(soon.id) or soon).decision is not None, "the deadline's decision", 30)
        runtime.reject(second.id)
        with explained(runtime, handle.execution_id):
            assert handle.result(timeout=120).output == "done"

    ledger.check_once_each([1, 3])
    decision = (runtime.request(soon.id) or soon).decision
    assert decision is not None
    assert decision.overdue
