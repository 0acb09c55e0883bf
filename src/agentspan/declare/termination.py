"""Conditions by which a run comes to an end: looked at after each turn, joined with `&` and `|`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentspan.declare.policy import check_count
from agentspan.errors import DefinitionError
from agentspan.stored.usage import Usage

_MANY = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class TerminationContext:
    """A run after a turn that called tools.

    Attributes:
        step: The turn, from 1.
        text: What the model said in it, beside its calls.
        tool_calls: The tools that it called in it.
        results: What it was told of each call: the result, or `{"error": …}`.
        messages: How many messages the conversation has: each of the model's, each result, the prompt, and what came
            before the run.
        usage: The run's tokens so far.
        state: The state of the run, of the `state_type` of the agent at work; None where it has none.
    """

    step: int
    text: str
    tool_calls: tuple[str, ...]
    results: tuple[Any, ...] = ()
    messages: int = 0
    usage: Usage = field(default_factory=Usage)
    state: Any = None


class Termination:
    """A condition; a subclass of yours has a `should_terminate`.

    Where it holds after a turn, the model is asked once more, without tools, and that is the run's answer. It is looked
    at in the worker that calls the model.
    """

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether the run is to come to an end."""
        raise NotImplementedError

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """What of yours is called to look at it."""
        own = type(self).__module__ != __name__
        return (self.should_terminate,) if own else ()

    def __and__(self, other: Termination) -> Termination:
        return _All(_conditions(_All, self, other))

    def __or__(self, other: Termination) -> Termination:
        return _Any(_conditions(_Any, self, other))


@dataclass(frozen=True)
class _Joined(Termination):
    conditions: tuple[Termination, ...]
    sign = ""

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        return tuple(function for condition in self.conditions for function in condition.functions)

    def __repr__(self) -> str:
        return f"({f' {self.sign} '.join(map(repr, self.conditions))})"


class _All(_Joined):
    sign = "&"

    def should_terminate(self, context: TerminationContext) -> bool:
        return all(condition.should_terminate(context) for condition in self.conditions)


class _Any(_Joined):
    sign = "|"

    def should_terminate(self, context: TerminationContext) -> bool:
        return any(condition.should_terminate(context) for condition in self.conditions)


def _conditions(kind: type[_Joined], *given: Termination) -> tuple[Termination, ...]:
    found: list[Termination] = []
    for each in given:
        if not isinstance(each, Termination):
            raise DefinitionError(f"{each!r} is no Termination, and cannot be joined with one")
        found += each.conditions if isinstance(each, kind) else (each,)
    return tuple(found)


@dataclass(frozen=True)
class TextMentionTermination(Termination):
    """The model has said a text, beside its calls of tools."""

    text: str
    case_sensitive: bool = False

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether the text is in what it said."""
        if self.case_sensitive:
            return self.text in context.text
        return self.text.casefold() in context.text.casefold()


@dataclass(frozen=True)
class StopMessageTermination(Termination):
    """The model has said this and nothing else, beside its calls of tools."""

    stop_message: str = "TERMINATE"

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether that is all it said."""
        return context.text.strip() == self.stop_message


@dataclass(frozen=True)
class ToolCallTermination(Termination):
    """The model has called a tool, and has its result."""

    tool_name: str

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether it was called in the turn."""
        return self.tool_name in context.tool_calls


@dataclass(frozen=True)
class MaxMessageTermination(Termination):
    """The conversation has so many messages."""

    max_messages: int

    def __post_init__(self) -> None:
        check_count(self.max_messages, "MaxMessageTermination: max_messages", 1, _MANY)

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether it has."""
        return context.messages >= self.max_messages


@dataclass(frozen=True)
class TokenUsageTermination(Termination):
    """The run has used so many tokens; any of the limits will do."""

    max_total_tokens: int | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None

    def __post_init__(self) -> None:
        limits = {name: value for name, value in self.__dict__.items() if value is not None}
        if not limits:
            raise DefinitionError("TokenUsageTermination: there is no limit")
        for name, value in limits.items():
            check_count(value, f"TokenUsageTermination: {name}", 1, _MANY)

    def should_terminate(self, context: TerminationContext) -> bool:
        """Whether it has."""
        used = context.usage
        pairs = (
            (self.max_total_tokens, used.total_tokens),
            (self.max_prompt_tokens, used.prompt_tokens),
            (self.max_completion_tokens, used.completion_tokens),
        )
        return any(limit is not None and count >= limit for limit, count in pairs)


@dataclass(frozen=True)
class FunctionTermination(Termination):
    """A function says so: what it raises fails the call of the model, which is tried again."""

    function: Callable[[TerminationContext], bool]

    def should_terminate(self, context: TerminationContext) -> bool:
        """What the function says."""
        return bool(self.function(context))

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The function."""
        return (self.function,)

    def __repr__(self) -> str:
        return f"FunctionTermination({getattr(self.function, '__name__', 'function')})"


def as_termination(given: object, what: str) -> Termination | None:
    """A condition, of which a plain function becomes one.

    Args:
        given: What was given for it.
        what: What messages call the agent.

    Raises:
        DefinitionError: It is none.
    """
    if given is None or isinstance(given, Termination):
        return given
    if not callable(given) or isinstance(given, type):
        raise DefinitionError(f"{what}: termination is a Termination, or a function, not {given!r}")
    return FunctionTermination(given)


def check_required(required: object, tools: tuple[str, ...], what: str) -> tuple[str, ...]:
    """The names of the tools that have to be called before an answer.

    Raises:
        DefinitionError: They are no names of the agent's tools.
    """
    if isinstance(required, str) or not isinstance(required, (list, tuple)):
        raise DefinitionError(f"{what}: required_tools is a list of names of its tools, not {required!r}")
    for name in required:
        if name not in tools:
            raise DefinitionError(f"{what}: required_tools has {name!r}, and the agent has no such tool")
    return tuple(required)
