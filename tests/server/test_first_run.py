"""One agent, end to end, on a real server."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.testing import call, calls, say
from agentspan.testing.plugin import Stage


@tool
def double(number: int) -> int:
    """Double a number.

    Args:
        number: What to double.
    """
    return 2 * number


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_agent_with_tools_reaches_its_answer(runtime: AgentRuntime, model: Stage, provider: str) -> None:
    name = model.play(
        [
            call("double", number=4),
            calls(call("double", number=8), call("double", number=10)),
            say("16 and 20"),
        ],
        provider,
    )
    agent = Agent("doubler", model=name, tools=[double], instructions="Double things.")

    handle = runtime.start(agent, "Double 4, then 8 and 10.")
    result = handle.result(timeout=60)

    assert result.output == "16 and 20"
    assert result.steps == 3
    asked = model.requests(name)
    assert [request.system for request in asked] == ["Double things."] * 3
    assert asked[0].prompt == "Double 4, then 8 and 10."
    assert [r.output for r in asked[2].tool_results] == [{"result": 16}, {"result": 20}]


def test_any_process_can_read_the_run_by_its_id(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    agent = Agent("doubler", model=model.play([call("double", number=4), say("8")]), tools=[double])
    execution_id = runtime.start(agent, "Double 4.").execution_id

    handle = AgentHandle(execution_id=execution_id, runtime=AgentRuntime(conductor_url))
    events = list(handle.stream(timeout=60))

    assert [event.type for event in events] == ["step", "tool_call", "tool_result", "step", "done"]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert (events[1].tool_name, events[1].args) == ("double", {"number": 4})
    assert events[2].result == 8
    assert events[-1].output == "8"
    status = handle.get_status()
    assert (status.status, status.step, status.max_steps) == ("COMPLETED", 2, 100)
