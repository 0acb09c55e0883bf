"""The type of an agent's answers, and what else is checked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentspan.declare.policy import check_count
from agentspan.errors import DefinitionError
from agentspan.schema.output import AnswerType, answer_type
from agentspan.stored.names import OUTPUT_TOOL

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    OutputT = TypeVar("OutputT", default=str, covariant=True)
    Typed = TypeVar("Typed", default=str)
else:
    from typing import TypeVar

    OutputT = TypeVar("OutputT", covariant=True)
    Typed = TypeVar("Typed")

Validator = Callable[[Any], Any]
"""Raises ValueError for an answer that it refuses; what it returns is not looked at."""

MAX_RETRIES = 10


def checked_output(given: Mapping[str, Any], tools: tuple[str, ...], what: str) -> AnswerType | None:
    """The type of an agent's answers; None where they are texts.

    Args:
        given: The agent's options.
        tools: The names of its tools.
        what: What messages call the agent.

    Raises:
        DefinitionError: The options make no sense.
    """
    check_count(given["output_retries"], f"{what}: output_retries", 0, MAX_RETRIES)
    validators = given["output_validators"]
    for each in validators:
        if not callable(each):
            raise DefinitionError(f"{what}: output_validators are functions, not {each!r}")
    if given["output_type"] is None or given["output_type"] is str:
        if validators:
            raise DefinitionError(
                f"{what}: output_validators go with an output_type",
                hint="For texts, output_type=Annotated[str, Field(min_length=1)] is one.",
            )
        return None
    for name in (OUTPUT_TOOL, "output"):
        if name in tools:
            raise DefinitionError(f"{what}: no tool can be named {name!r} where there is an output_type")
    return answer_type(given["output_type"], f"{what}: output_type")
