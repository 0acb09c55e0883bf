"""What a model said, as the server carries it: a call whose arguments it cannot carry is not made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, ModelResponsePart, TextPart, ToolCallPart

from agentspan.schema.values import MAX_BYTES, why_not_carried
from agentspan.worker.call import ModelAway

Json = dict[str, Any]

MOST = MAX_BYTES - 300_000
"""Bytes of what is stored of an answer: its plan, with the state of its run, is stored beside it."""


@dataclass(frozen=True)
class Carried:
    """An answer as it is stored.

    Attributes:
        message: The whole of it, without the arguments that cannot be stored.
        text: Its text.
        arguments: Those of its calls, in their order; a text says why there are none.
    """

    message: Json
    text: str
    arguments: tuple[Json | str, ...]

    @property
    def problem(self) -> str | None:
        """Why it cannot be stored."""
        return why_not_carried((self.message, self.text, self.arguments), MOST)


def carried(response: ModelResponse) -> Carried:
    """A response as it is stored.

    Raises:
        ModelAway: What cannot be stored stands outside of its calls' arguments: another try may give another answer.
    """
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    arguments = [_arguments(call) for call in calls]
    found = _stored(response, arguments)
    if found.problem is None:
        return found
    share = MOST // max(1, len(calls))
    arguments = [_storable(call, args, share) for call, args in zip(calls, arguments, strict=True)]
    lacking = iter(isinstance(args, str) for args in arguments)
    found = _stored(replace(response, parts=_without(response.parts, lacking)), arguments)
    if found.problem is not None:
        raise ModelAway(f"The model's answer cannot be stored: it {found.problem}.")
    return found


def _stored(response: ModelResponse, arguments: Sequence[Json | str]) -> Carried:
    (message,) = ModelMessagesTypeAdapter.dump_python([response], mode="json", exclude_none=True)
    texts = (part.content for part in response.parts if isinstance(part, TextPart))
    return Carried(message, "".join(texts), tuple(arguments))


def _arguments(part: ToolCallPart) -> Json | str:
    if part.args is None or part.args == "":
        return {}
    try:
        found = json.loads(part.args, parse_constant=_refuse) if isinstance(part.args, str) else part.args
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else "its arguments are no JSON object"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _storable(call: ToolCallPart, args: Json | str, share: int) -> Json | str:
    problem = None if isinstance(args, str) else why_not_carried((call.args, args), share)
    return args if problem is None else f"its arguments cannot be stored: what they hold {problem}"


def _without(parts: Sequence[ModelResponsePart], lacking: Iterator[bool]) -> list[ModelResponsePart]:
    return [replace(each, args="{}") if isinstance(each, ToolCallPart) and next(lacking) else each for each in parts]
