"""The guardrails of an agent or a tool, together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agentspan.declare.guardrail import Default, Guardrail, OnFail, Position
from agentspan.errors import DefinitionError


def as_guardrails(given: object, what: str) -> tuple[Guardrail, ...]:
    """Guardrails, of which plain functions become some.

    Args:
        given: What was given for them.
        what: What messages call who has them.

    Raises:
        DefinitionError: They are none.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise DefinitionError(f"{what}: guardrails must be a list, not {given!r}")
    return tuple(each if isinstance(each, Guardrail) else Guardrail(each) for each in given)


def of_tool(given: object, what: str) -> tuple[Guardrail, ...]:
    """The guardrails of a tool.

    Raises:
        DefinitionError: They are none, or look at a prompt beside a call of a model.
    """
    found = as_guardrails(given, what)
    for guard in found:
        if not guard.blocking:
            raise DefinitionError(
                f"{what}: the guardrail {guard.name} has blocking=False, which is for an agent's prompt",
                hint="Give it to the agent, or leave out blocking.",
            )
    return found


def check_names(guards: Sequence[Guardrail], tools: Sequence[str], what: str) -> None:
    """Refuse tools whose names stand for the checks of an agent with guardrails.

    Raises:
        DefinitionError: There is one.
    """
    for position in {guard.position.value for guard in guards}:
        if position in tools:
            raise DefinitionError(
                f"{what}: no tool can be named {position!r} where a guardrail looks at the {position}",
                hint="Rename it: tool(function, name='...').",
            )


def asking(guards: Sequence[Guardrail]) -> tuple[Guardrail, ...]:
    """Those that ask a person about what they refuse."""
    return tuple(guard for guard in guards if guard.on_fail == OnFail.HUMAN)


def of_prompt(guards: Sequence[Guardrail]) -> tuple[Guardrail, ...]:
    """Those that look at the prompt, before the model is asked or beside it."""
    return tuple(guard for guard in guards if guard.position == Position.INPUT)


def beside(guards: Sequence[Guardrail]) -> tuple[Guardrail, ...]:
    """Those that look at the prompt beside the first call of the model."""
    return tuple(guard for guard in guards if not guard.blocking)


class Deadline(Protocol):
    """What has a person asked."""

    @property
    def deadline(self) -> int | None:
        """Seconds that the person has."""

    @property
    def default(self) -> Default:
        """What happens after them."""


def time_to_decide(asks: Sequence[Deadline]) -> tuple[int | None, Default]:
    """The shortest time that a person has, in seconds, and what happens then: rejected, unless all say otherwise."""
    deadline = min((each.deadline for each in asks if each.deadline is not None), default=None)
    return deadline, "approve" if asks and all(each.default == "approve" for each in asks) else "reject"
