"""Runs that were started with the definitions of an earlier version are served, read and finished by this one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

BEFORE = Path(__file__).parents[2] / "workflow_defs" / "before"


def started(runtime: AgentRuntime, name: str, model: str, agent: str) -> AgentHandle:
    """A run of an old definition, under a name and with a model of its own."""
    text = (BEFORE / f"{name}.json").read_text(encoding="utf-8")
    old_model = next(w["metadata"]["model"] for w in json.loads(text)["workflows"])
    old_agent = json.loads(text)["workflows"][-1]["name"]
    for old, new in ((old_model.partition("/")[2], model.partition("/")[2]), (old_agent, agent)):
        text = text.replace(f'"{old}"', f'"{new}"').replace(f'"{old}.', f'"{new}.')
    text = text.replace('"anthropic"', '"openai"')
    found: dict[str, Any] = json.loads(text)
    for task in found["tasks"]:
        runtime.client.put_task_definition(task)
    for workflow in found["workflows"]:
        assert runtime.client.create_workflow_definition(workflow)
    return AgentHandle(runtime.client.start_workflow(agent, 1, {"prompt": "Go."}), runtime)


@tool
def read_chunk(number: int) -> dict[str, int]:
    """Read a chunk."""
    return {"chunk": number}


def test_a_run_with_tools(runtime: AgentRuntime, model: Stage) -> None:
    """Over three segments, with one call, and with several, one of which is of a tool that there is not."""

    def script(request: ModelRequest) -> Reply:
        if request.turn == 3:
            return calls(call("read_chunk", number=1), call("read_chunk", number=2), call("guess"))
        return call("read_chunk", number=request.turn) if request.turn < 18 else say("done")

    name = model.play(script)
    handle = started(runtime, "feedback", name, "feedback_of_before")
    runtime.serve(Agent("feedback_of_before", model=name, tools=[read_chunk]), blocking=False)

    assert handle.result(timeout=120).output == "done"
    results = [event for event in handle.stream() if event.type == "tool_result"]
    assert len(results) == 20
    (unknown,) = [event.error for event in results if event.error]
    assert unknown.startswith("There is no tool named guess.")
    assert handle.get_status().step == 19


@pytest.mark.parametrize("answer", ["hello", '{"a": 1}'])
def test_a_run_without_tools(runtime: AgentRuntime, model: Stage, answer: str) -> None:
    name = model.play(lambda _: say(answer))
    handle = started(runtime, "greeter", name, f"greeter_of_before_{len(answer)}")
    result = handle.result(timeout=60)

    assert (result.output, result.steps) == (answer, 1)
    assert [event.type for event in handle.stream()] == ["step", "done"]
    assert replace(result, source=None).intact


@pytest.mark.parametrize("beside", [False, True])
def test_a_run_that_asks_a_person(runtime: AgentRuntime, model: Stage, beside: bool) -> None:
    """Its joins are looked at all the time, and each of its requests is in a fork, with the notice beside it."""
    heard: list[str] = []

    @tool
    def order(number: str) -> dict[str, int]:
        """What was paid."""
        return {"paid": int(number)}

    @tool(approval=True)
    def refund(number: str, cents: int) -> str:
        """Pay back."""
        return f"{cents} for {number}"

    def script(request: ModelRequest) -> Reply:
        asked = call("refund", number="1", cents=5000)
        return say("done") if request.turn else calls(asked, call("order", number="7")) if beside else asked

    name = model.play(script)
    agent = f"refunds_of_before_{beside}"
    handle = started(runtime, "refunds", name, agent)
    tools = [order, refund]
    runtime.serve(
        Agent(agent, model=name, tools=tools, on_request=lambda asked: heard.append(asked.tool)), blocking=False
    )
    wait_until(lambda: runtime.requests(agent=agent), "the request")
    handle.approve()

    assert handle.result(timeout=60).output == "done"
    results = {event.tool_name: event.result for event in handle.stream() if event.type == "tool_result"}
    assert results == {"refund": "5000 for 1"} | ({"order": {"paid": 7}} if beside else {})
    assert heard == ["refund"]
