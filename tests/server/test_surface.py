"""The names that scripts know from elsewhere, here."""

from __future__ import annotations

import io

from agentspan.agents import Agent, AgentRuntime, EventType, FinishReason, Status, run, start, stream, tool
from agentspan.testing import call, say
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def test_a_result_has_what_scripts_read(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("known_names", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    result = run(agent, "1 + 2?", runtime=runtime, timeout=60)
    printed = io.StringIO()
    result.print_result(printed)

    assert printed.getvalue() == f"three\n\nCOMPLETED after 2 steps, {result.usage.total_tokens:,} tokens\n"
    assert result.is_success
    assert result.token_usage == result.usage
    assert result.status == Status.COMPLETED
    assert result.finish_reason == FinishReason.STOP
    assert [(asked.tool, asked.args, asked.result) for asked in result.tool_calls] == [("add", {"a": 1, "b": 2}, 3)]


def test_a_handle_and_its_events_have_what_scripts_read(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("known_events", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    handle = start(agent, "1 + 2?", runtime=runtime)
    assert handle.run_id == handle.execution_id
    assert handle.join(timeout=60).output == "three"
    events = list(stream(agent, "1 + 2?", runtime=runtime))
    assert [event.type for event in events] == [
        EventType.STEP,
        EventType.TOOL_CALL,
        EventType.TOOL_RESULT,
        EventType.STEP,
        EventType.DONE,
    ]
    assert events[-1].content == "three"


def test_a_runtime_comes_back_to_a_run(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("resumed_by_id", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    assert runtime.deploy(agent) == {"resumed_by_id": 1}
    handle = runtime.start(agent, "1 + 2?", serve=False)

    assert runtime.handle(handle.execution_id).get_status().agent == "resumed_by_id"
    assert runtime.resume(handle.execution_id, agent).result(timeout=60).output == "three"
