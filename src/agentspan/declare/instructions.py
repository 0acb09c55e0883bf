"""Instructions that a function gives, and what it may know about the run that it gives them for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal

from agentspan.declare.state import StateType
from agentspan.errors import DefinitionError, InputError
from agentspan.schema.arguments import check_text
from agentspan.schema.values import to_jsonable

Each = Literal["run", "turn"]
"""How often a function gives the instructions."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a function that gives instructions may know about its run.

    Attributes:
        agent: The agent's name.
        execution_id: The run.
        prompt: The user's message, as the agent's guardrails have left it.
        step: The turn that the instructions are for, from 1.
        context: The `context=` that the run was started with.
        state: The state of the run, of the agent's `state_type`; None where it has none.
        dependencies: The objects that the worker was given for the agent.
    """

    agent: str
    execution_id: str
    prompt: str
    step: int
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    state: Any = field(default=None, repr=False)
    dependencies: Any = field(default=None, repr=False)


Function = Callable[[RunContext], str | Awaitable[str]] | Callable[[], str | Awaitable[str]]
"""Gives instructions; plain or `async`, of a `RunContext` or of nothing."""

Instructions = str | Function
"""The system prompt, or a function that gives it."""


@dataclass(frozen=True)
class StateTemplate:
    """Instructions with values of the run's state in them.

        Agent(…, state_type=Trip, instructions=StateTemplate("You plan a trip to {city}. Booked so far: {booked}"))

    `{city}` is the field of that name: a text as it is, anything else as JSON. Values are data: braces in them mean
    nothing. `{{` and `}}` are braces.

    Attributes:
        text: The instructions.
    """

    text: str

    def __post_init__(self) -> None:
        what = f"StateTemplate {self.text!r}"
        try:
            found = list(Formatter().parse(self.text))
        except ValueError as error:
            raise DefinitionError(
                f"{what}: {error}", hint="A brace that is none of a field is written twice."
            ) from error
        for _, name, spec, conversion in found:
            if name is not None and (spec or conversion or not name.isidentifier()):
                raise DefinitionError(f"{what}: {{{name}}} is no plain field, such as {{city}}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the state that it shows."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.text) if name is not None)

    def __call__(self, context: RunContext) -> str:
        """The instructions for a state."""
        values = to_jsonable(context.state)
        parts = []
        for literal, name, _, _ in Formatter().parse(self.text):
            value = "" if name is None else values.get(name)
            parts += [literal, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
        return "".join(parts)


def check_fields(given: Instructions, state: StateType | None, what: str) -> None:
    """Refuse a template of fields that the state has not.

    Raises:
        DefinitionError: It is one.
    """
    if not isinstance(given, StateTemplate):
        return
    if state is None:
        raise DefinitionError(f"{what}: a StateTemplate shows the state of a run", hint="Add state_type=….")
    unknown = [name for name in given.fields if name not in state.fields]
    if unknown:
        raise DefinitionError(
            f"{what}: its instructions show {{{unknown[0]}}}, and its state_type has {', '.join(state.fields)}"
        )


def check_instructions(given: Instructions, each: Each, what: str) -> None:
    """Refuse instructions that are neither a text nor a function, or a function that cannot be called.

    Raises:
        DefinitionError: They are.
    """
    if each not in ("run", "turn"):
        raise DefinitionError(f"{what}: instructions_each is 'run' or 'turn', not {each!r}")
    if callable(given) and not isinstance(given, type):
        _arguments(given, what)
        return
    try:
        check_text(given, f"{what}: instructions")
    except InputError as error:
        raise DefinitionError(error.message, hint="A text, or a function of a RunContext that gives one.") from error
    if each != "run":
        raise DefinitionError(f"{what}: instructions_each='turn' is for instructions that a function gives")


def given_by(function: Function, context: RunContext, what: str) -> Any:
    """What a function gives for a turn; it may have to be awaited.

    Raises:
        Exception: What it raises.
    """
    gives: Callable[..., Any] = function
    return gives(*[context][: _arguments(function, what)])


def _arguments(function: Callable[..., Any], what: str) -> int:
    """How many arguments it is given."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{what}: Python cannot tell the parameters of its instructions: {error}") from error
    for number in (1, 0):
        try:
            signature.bind(*[None] * number)
        except TypeError:
            continue
        return number
    raise DefinitionError(f"{what}: its instructions are a function of one argument, the RunContext, or of none")
