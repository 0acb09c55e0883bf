"""Tests of an agent that ask no model and no server: the test writes what the model would have done.

    result = mock_run(agent, "Oslo?", [MockEvent.tool_call("forecast", {"city": "Oslo"}), MockEvent.done("Rain.")])
    expect(result).completed().used_tool("forecast", args={"city": "Oslo"}).output_contains("Rain")

`agentspan.testing` has the other kind: a real server, with a scripted model.
"""

from agentspan.agents.testing._assertions import (
    assert_agent_ran,
    assert_event_sequence,
    assert_events_contain,
    assert_guardrail_failed,
    assert_guardrail_passed,
    assert_handoff_to,
    assert_max_turns,
    assert_no_errors,
    assert_output_contains,
    assert_output_matches,
    assert_output_type,
    assert_status,
    assert_tool_call_order,
    assert_tool_called_with,
    assert_tool_not_used,
    assert_tool_used,
    assert_tools_used_exactly,
)
from agentspan.agents.testing._expect import Expectation, expect
from agentspan.agents.testing._mock import MockEvent, ScriptedEvent, mock_run

__all__ = [
    "Expectation",
    "MockEvent",
    "ScriptedEvent",
    "assert_agent_ran",
    "assert_event_sequence",
    "assert_events_contain",
    "assert_guardrail_failed",
    "assert_guardrail_passed",
    "assert_handoff_to",
    "assert_max_turns",
    "assert_no_errors",
    "assert_output_contains",
    "assert_output_matches",
    "assert_output_type",
    "assert_status",
    "assert_tool_call_order",
    "assert_tool_called_with",
    "assert_tool_not_used",
    "assert_tool_used",
    "assert_tools_used_exactly",
    "expect",
    "mock_run",
]
