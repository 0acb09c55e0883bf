"""The parts of `expect` as functions of a result, each of which raises an AssertionError where it does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agentspan.agents.testing._expect import expect
from agentspan.reading.result import AgentResult


def assert_agent_ran(result: AgentResult[Any], agent_name: str) -> None:
    """Another agent took part."""
    expect(result).agent_ran(agent_name)


def assert_event_sequence(result: AgentResult[Any], types: Sequence[str]) -> None:
    """Events of these types came in this order; others may be between them."""
    expect(result).event_sequence(types)


def assert_events_contain(result: AgentResult[Any], event_type: str, *, expected: bool = True, **values: Any) -> None:
    """There is an event of a type, with these attributes; or, unless `expected`, there is none."""
    expect(result).events_contain(event_type, expected=expected, **values)


def assert_guardrail_failed(result: AgentResult[Any], name: str) -> None:
    """A guardrail found something."""
    expect(result).guardrail_failed(name)


def assert_guardrail_passed(result: AgentResult[Any], name: str) -> None:
    """A guardrail found nothing."""
    expect(result).guardrail_passed(name)


def assert_handoff_to(result: AgentResult[Any], agent_name: str) -> None:
    """The run was handed to another agent."""
    expect(result).handoff_to(agent_name)


def assert_max_turns(result: AgentResult[Any], n: int) -> None:
    """The run took no more than `n` steps."""
    expect(result).max_turns(n)


def assert_no_errors(result: AgentResult[Any]) -> None:
    """There is no event of an error."""
    expect(result).no_errors()


def assert_output_contains(result: AgentResult[Any], text: str, *, case_sensitive: bool = True) -> None:
    """The answer has a text in it."""
    expect(result).output_contains(text, case_sensitive=case_sensitive)


def assert_output_matches(result: AgentResult[Any], pattern: str) -> None:
    """A regular expression is found in the answer."""
    expect(result).output_matches(pattern)


def assert_output_type(result: AgentResult[Any], type_: type) -> None:
    """The answer is of a type."""
    expect(result).output_type(type_)


def assert_status(result: AgentResult[Any], status: str) -> None:
    """The run ended as `status`."""
    expect(result).status(status)


def assert_tool_call_order(result: AgentResult[Any], names: Sequence[str]) -> None:
    """Tools were called in this order; others may be between them."""
    expect(result).tool_call_order(names)


def assert_tool_called_with(result: AgentResult[Any], name: str, *, args: dict[str, Any] | None = None) -> None:
    """A tool was called with these arguments, beside others."""
    expect(result).used_tool(name, args=args)


def assert_tool_not_used(result: AgentResult[Any], name: str) -> None:
    """A tool was not called."""
    expect(result).did_not_use_tool(name)


def assert_tool_used(result: AgentResult[Any], name: str) -> None:
    """A tool was called."""
    expect(result).used_tool(name)


def assert_tools_used_exactly(result: AgentResult[Any], names: Iterable[str]) -> None:
    """These tools were called, however often, and no others."""
    expect(result).tools_used_exactly(names)
