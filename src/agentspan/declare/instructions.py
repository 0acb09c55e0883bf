"""Instructions that a function gives, and what it may know about the run that it gives them for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentspan.errors import DefinitionError, InputError
from agentspan.schema.arguments import check_text

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
