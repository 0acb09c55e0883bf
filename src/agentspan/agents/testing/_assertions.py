"""The parts of `expect` as functions of a result, each of which raises an AssertionError where it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from agentspan.agents.testing._expect import Expectation, expect
from agentspan.reading.result import AgentResult

P = ParamSpec("P")


def _of(part: Callable[Concatenate[Expectation, P], Expectation]) -> Callable[Concatenate[AgentResult[Any], P], None]:
    def check(result: AgentResult[Any], /, *args: P.args, **options: P.kwargs) -> None:
        part(expect(result), *args, **options)

    check.__doc__ = part.__doc__
    return check


def assert_events_contain(result: AgentResult[Any], event_type: str, *, expected: bool = True, **values: Any) -> None:
    """There is an event of a type, with these attributes; or, unless `expected`, there is none."""
    expect(result).events_contain(event_type, expected=expected, **values)


assert_agent_ran = _of(Expectation.agent_ran)
assert_event_sequence = _of(Expectation.event_sequence)
assert_guardrail_failed = _of(Expectation.guardrail_failed)
assert_guardrail_passed = _of(Expectation.guardrail_passed)
assert_handoff_to = _of(Expectation.handoff_to)
assert_max_turns = _of(Expectation.max_turns)
assert_no_errors = _of(Expectation.no_errors)
assert_output_contains = _of(Expectation.output_contains)
assert_output_matches = _of(Expectation.output_matches)
assert_output_type = _of(Expectation.output_type)
assert_status = _of(Expectation.status)
assert_tool_call_order = _of(Expectation.tool_call_order)
assert_tool_called_with = _of(Expectation.used_tool)
assert_tool_not_used = _of(Expectation.did_not_use_tool)
assert_tool_used = _of(Expectation.used_tool)
assert_tools_used_exactly = _of(Expectation.tools_used_exactly)
