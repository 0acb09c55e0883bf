"""`human_tool`: a tool by which the model asks a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentspan.declare.approval import Question
from agentspan.declare.policy import whole_seconds
from agentspan.declare.tool import Tool, tool
from agentspan.errors import DefinitionError
from agentspan.schema.foreign import given_arguments, keywords
from agentspan.schema.output import AnswerError, answer_type

_UNCHECKED = ("pattern", "propertyNames")
"""What the engine's jq cannot check: its patterns are of another dialect, and without a limit of time."""


def _asks(question: str) -> None:
    """Ask."""


def human_tool(
    name: str,
    description: str,
    *,
    input_schema: Mapping[str, Any] | None = None,
    answer: Any = str,
    deadline: float | None = None,
    default: Any = None,
) -> Tool[..., Any]:
    """A tool by which the model asks a person, whose answer is its result.

        ask = human_tool("ask_customer", "Ask the customer what is unclear.", deadline=86_400)

    The question waits in the inbox (`runtime.requests()`, `agentspan request list`) until somebody answers it; no
    worker is needed for it.

    Args:
        name: What models call it.
        description: What models are told it is for.
        input_schema: The JSON Schema of what the model says, an object; one text, `question`, unless given. What does
            not fit it is sent back to the model, and reaches nobody; so `pattern` and `propertyNames`, which the server
            cannot check, are refused.
        answer: The type of the answer: what pydantic takes for a type. An answer that does not fit is refused.
        deadline: Seconds a person has; None waits for ever.
        default: The answer when nobody has given one by then; None tells the model that nobody did.

    Raises:
        DefinitionError: A value makes no sense.
    """
    what = f"tool {name!r}"
    kind = None if answer is str else answer_type(answer, f"{what}: answer")
    if deadline is not None:
        deadline = whole_seconds(deadline, f"{what}: deadline", least=1)
    elif default is not None:
        raise DefinitionError(f"{what}: default is the answer after a deadline, and there is none")
    if kind is not None and default is not None:
        try:
            default = kind.checked(default)
        except AnswerError as error:
            raise DefinitionError(f"{what}: default does not fit the type of the answer: {error}") from error
    made = replace(tool(_asks, name=name, description=description), question=Question(kind, deadline, default))
    if input_schema is None:
        return made
    arguments = given_arguments(input_schema, what)
    unchecked = next((each for each in keywords(arguments.schema) if each in _UNCHECKED), None)
    if unchecked is not None:
        raise DefinitionError(
            f"{what}: input_schema has {unchecked!r}, which nobody checks before a person is asked",
            hint="Say it in the description, or name the values that fit with `enum`.",
        )
    return replace(made, arguments=arguments)
