"""What a test expects of a result, in one sentence; a mocked one or one of a real run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from agentspan.reading.events import Event, EventType
from agentspan.reading.result import AgentResult


def expect(result: AgentResult[Any]) -> Expectation:
    """Begin a sentence about a result; each part of it raises an AssertionError where it does not hold."""
    return Expectation(result)


class Expectation:
    """A result, and what is expected of it."""

    def __init__(self, result: AgentResult[Any]) -> None:
        self._result = result

    def completed(self) -> Self:
        """The run ended with an answer."""
        return self.status("COMPLETED")

    def failed(self) -> Self:
        """The run failed."""
        return self.status("FAILED")

    def status(self, status: str) -> Self:
        """The run ended as `status`."""
        why = f": {self._result.error}" if self._result.error else ""
        return self._check(self._result.status == status, f"the run to be {status}", f"{self._result.status}{why}")

    def no_errors(self) -> Self:
        """There is no event of an error."""
        errors = [event.content for event in self._events(EventType.ERROR)]
        return self._check(not errors, "no errors", errors)

    def used_tool(self, name: str, *, args: dict[str, Any] | None = None) -> Self:
        """A tool was called.

        Args:
            name: The tool.
            args: Arguments that one of its calls had, beside others.
        """
        self._check(name in self._tools(), f"the tool {name} to be called", self._tools())
        if args is None:
            return self
        calls = [call.args for call in self._result.tool_calls if call.tool == name]
        fits = any({**given, **args} == given for given in calls)
        return self._check(fits, f"a call of {name} with {args}", calls)

    def did_not_use_tool(self, name: str) -> Self:
        """A tool was not called."""
        return self._check(name not in self._tools(), f"the tool {name} not to be called", self._tools())

    def tool_call_order(self, names: Sequence[str]) -> Self:
        """Tools were called in this order; others may be between them."""
        return self._check(_in_order(names, self._tools()), f"calls in the order {list(names)}", self._tools())

    def tools_used_exactly(self, names: Iterable[str]) -> Self:
        """These tools were called, however often, and no others."""
        return self._check(set(names) == set(self._tools()), f"exactly the tools {sorted(names)}", self._tools())

    def output_contains(self, text: str, *, case_sensitive: bool = True) -> Self:
        """The answer has a text in it."""
        said, wanted = self._said(), text
        if not case_sensitive:
            said, wanted = said.casefold(), wanted.casefold()
        return self._check(wanted in said, f"{text!r} in the answer", self._said())

    def output_matches(self, pattern: str) -> Self:
        """A regular expression is found in the answer."""
        return self._check(re.search(pattern, self._said()), f"an answer that matches {pattern!r}", self._said())

    def output_type(self, type_: type) -> Self:
        """The answer is of a type."""
        return self._check(
            isinstance(self._result.output, type_), f"an answer that is a {type_.__name__}", repr(self._result.output)
        )

    def events_contain(self, event_type: str, *, expected: bool = True, **values: Any) -> Self:
        """There is an event of a type, with these attributes; or, unless `expected`, there is none."""
        found = any(
            all(getattr(event, name, None) == value for name, value in values.items())
            for event in self._events(event_type)
        )
        which = f"event {event_type}" + (f" with {values}" if values else "")
        return self._check(found is expected, f"{'an' if expected else 'no'} {which}", self._result.events)

    def event_sequence(self, types: Sequence[str]) -> Self:
        """Events of these types came in this order; others may be between them."""
        seen = [event.type for event in self._result.events]
        return self._check(_in_order(types, seen), f"events in the order {[str(each) for each in types]}", seen)

    def handoff_to(self, agent_name: str) -> Self:
        """The run was handed to another agent."""
        targets = [getattr(event, "target", None) for event in self._events(EventType.HANDOFF)]
        return self._check(agent_name in targets, f"a handoff to {agent_name}", targets)

    def agent_ran(self, agent_name: str) -> Self:
        """Another agent took part."""
        return self if agent_name in self._result.sub_results else self.handoff_to(agent_name)

    def guardrail_passed(self, name: str) -> Self:
        """A guardrail found nothing."""
        return self._guardrail(EventType.GUARDRAIL_PASS, name)

    def guardrail_failed(self, name: str) -> Self:
        """A guardrail found something."""
        return self._guardrail(EventType.GUARDRAIL_FAIL, name)

    def max_turns(self, n: int) -> Self:
        """The run took no more than `n` steps."""
        return self._check(self._result.steps <= n, f"{n} steps at most", self._result.steps)

    def _guardrail(self, event_type: EventType, name: str) -> Self:
        names = [getattr(event, "guardrail_name", None) for event in self._events(event_type)]
        return self._check(name in names, f"{event_type} of {name}", names)

    def _events(self, event_type: str) -> list[Event]:
        return [event for event in self._result.events if str(event.type) == event_type]

    def _tools(self) -> list[str]:
        return [call.tool for call in self._result.tool_calls]

    def _said(self) -> str:
        return "" if self._result.output is None else str(self._result.output)

    def _check(self, holds: object, expected: str, found: object) -> Self:
        __tracebackhide__ = True  # of pytest: the test's own line is shown
        if not holds:
            raise AssertionError(f"Expected {expected}; found {found}")
        return self


def _in_order(wanted: Iterable[object], seen: Iterable[object]) -> bool:
    left = iter(seen)
    return all(any(each == one for one in left) for each in wanted)
