"""What a turn costs the engine while people think, and that it goes on at once all the same."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, agent_tool, tool
from agentspan.engine.records import TaskRecord
from agentspan.reading.run import newest_segment_id
from agentspan.runtime import aio
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

PLACES: Any = ("server", "worker")

pytestmark = pytest.mark.usefixtures("scripted_openai")

LONG = 3600
"""Seconds between two looks at a join."""


@tool(approval=True)
def pay(amount: int) -> int:
    """Pay."""
    return amount


def tasks(runtime: AgentRuntime, handle: AgentHandle[str], kind: str) -> list[TaskRecord]:
    segment = newest_segment_id(runtime.client.workflow(handle.execution_id)) or handle.execution_id
    return [task for task in runtime.client.workflow(segment).tasks if task.task_type == kind]


def put_off(runtime: AgentRuntime, handle: AgentHandle[str]) -> None:
    """Have the engine not look by itself at the join of a turn for as long as the test takes."""

    def is_put_off() -> bool:
        joins = tasks(runtime, handle, "JOIN")
        if not joins or joins[0].callback_after_seconds == 0:  # it is still looked at all the time
            return False
        (join,) = joins
        if join.callback_after_seconds == LONG:
            return True
        address = {"taskId": join.task_id, "workflowInstanceId": join.workflow_instance_id}
        output = {"status": "IN_PROGRESS", "callbackAfterSeconds": LONG, "outputData": join.output_data}
        runtime.client.update_task({**address, **output})
        return False

    wait_until(is_put_off, "a join that is looked at ever more rarely", timeout=120)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_looks_at_a_turn_whose_only_call_waits(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    played = model.play([call("pay", amount=5), say("Done.")])
    handle = runtime.start(Agent("payer", model=played, tools=[pay], model_place=place), "Pay.")
    wait_until(handle.requests, "the request")

    assert tasks(runtime, handle, "JOIN") == []
    assert [task.reference_task_name for task in tasks(runtime, handle, "SUB_WORKFLOW")] == ["ask_1"]
    handle.approve()
    assert handle.result(timeout=60).output == "Done."
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == [5]


@pytest.mark.parametrize("place", PLACES)
def test_a_turn_of_several_calls_is_looked_at_as_the_last_request_is_decided(
    runtime: AgentRuntime, model: Stage, place: Any
) -> None:
    played = model.play([calls(call("pay", amount=5), call("pay", amount=6)), say("Done.")])
    handle = runtime.start(Agent("payers", model=played, tools=[pay], model_place=place), "Pay.")
    wait_until(lambda: len(handle.requests()) == 2, "the requests")
    first, second = handle.requests()
    runtime.approve(first.id)
    put_off(runtime, handle)
    runtime.reject(second.id)

    assert handle.result(timeout=60).output == "Done."


def test_a_turn_is_looked_at_as_a_slow_call_beside_a_request_ends(runtime: AgentRuntime, model: Stage) -> None:
    """The engine itself would not: that is what the watchdog does."""
    ends = threading.Event()

    @tool
    def slow() -> str:
        """Take long."""
        assert ends.wait(120)
        return "slow"

    played = model.play([calls(call("pay", amount=5), call("slow")), say("Done.")])
    handle = runtime.start(Agent("slow_payer", model=played, tools=[pay, slow], model_place="worker"), "Pay.")
    wait_until(handle.requests, "the request")
    handle.approve()
    put_off(runtime, handle)
    ends.set()

    assert handle.result(timeout=60).output == "Done."


def test_an_agent_that_asks_within_another_one(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("pay", amount=5), say("Paid.")])
    inner = Agent("clerk", model=played, tools=[pay], model_place="worker", description="Pays.")
    played = model.play([call("clerk", request="Pay."), say("Done.")])
    outer = Agent("chief", model=played, tools=[agent_tool(inner)], model_place="worker")
    handle = runtime.start(outer, "Pay.")
    wait_until(handle.requests, "the request")
    put_off(runtime, handle)
    handle.approve()

    assert handle.result(timeout=60).output == "Done."


@pytest.mark.parametrize("on_a_loop", [False, True])
def test_who_waits_where_the_last_call_is_made_is_woken(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch, on_a_loop: bool
) -> None:
    """By itself it would not look again for longer than it waits at all."""
    monkeypatch.setattr("agentspan.runtime.waiting.FIRST_LOOK", 200.0)
    monkeypatch.setattr("agentspan.runtime.waiting.LAST_LOOK", 200.0)
    monkeypatch.setitem(aio.pause.__kwdefaults__, "longest", 200.0)
    alone = Agent("woken", model=model.play(lambda _: say("first")), model_place="worker")
    team = alone >> Agent("woken_second", model=model.play(lambda _: say("second")), model_place="worker")

    if on_a_loop:
        found = asyncio.run(runtime.run_async(alone, "Go.", timeout=150)), asyncio.run(runtime.run_async(team, "Go."))
    else:
        found = runtime.run(alone, "Go.", timeout=150), runtime.run(team, "Go.", timeout=150)

    assert [result.output for result in found] == ["first", "second"]
