"""The seam between the scripted model and a provider's wire shape."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentspan.testing._conversation import (
    Conversation,
    ModelRequest,
    OfferedTool,
    Provider,
    ToolCall,
    estimate_tokens,
)
from agentspan.testing._replies import Failure, Piece, Reply

Json = dict[str, Any]

Chunks = Iterator[tuple[str | None, Json | str] | Piece]
"""A streamed answer: events, their names and data, and the pauses between them."""

_USUAL = 16
"""Characters of a streamed piece."""


@dataclass(frozen=True)
class Wire:
    """A provider's HTTP shape.

    Attributes:
        provider: Its name.
        path: Where requests are posted to, as a pattern; groups `model` and `how` stand for what is not in the body.
        shown: The path for people.
        read: Gives the conversation in a request's body.
        write: Gives the body of an answer.
        stream: Gives the events of an answer, from its body and the pieces of its text.
        refuse: Gives the body of an error.
        faults: What this provider alone refuses.
    """

    provider: Provider
    path: re.Pattern[str]
    shown: str
    read: Callable[[Json], Conversation]
    write: Callable[[ModelRequest, Reply], Json]
    stream: Callable[[Json, Sequence[Piece]], Chunks]
    refuse: Callable[[Failure], Json]
    faults: Callable[[ModelRequest], Iterator[str]]


def identified(request: ModelRequest, reply: Reply) -> Iterator[ToolCall]:
    """The reply's calls, each with an id, unless the script wants none."""
    for index, call in enumerate(reply.tool_calls):
        if reply.call_ids is not None:
            yield replace(call, id=reply.call_ids[index])
        else:
            yield call if call.id else replace(call, id=request.call_id(index))


def arguments_text(call: ToolCall) -> str:
    """The call's arguments as JSON text, or whatever text the script wants instead."""
    return json.dumps(call.arguments, allow_nan=False) if call.text is None else call.text


def output_tokens(reply: Reply) -> int:
    """An estimate of the tokens in a reply."""
    said = reply.thinking + reply.text + reply.refusal
    return estimate_tokens(said + "".join(c.name + arguments_text(c) for c in reply.tool_calls))


def offered(definition: Json, schema_key: str) -> OfferedTool:
    """Read a tool's definition; a provider's built-in tool has only a type."""
    name = definition.get("name") or definition.get("type") or ""
    return OfferedTool(name, definition.get("description") or "", definition.get(schema_key) or {})


def signature(*texts: str) -> str:
    """What a provider signs a thought or a call with: it tells later whether it comes back as it was."""
    return "sig" + hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def in_pieces(text: str) -> list[Piece]:
    """A text as it is streamed when the script does not say how."""
    return [text[at : at + _USUAL] for at in range(0, len(text), _USUAL)]


def pieces_of(text: str, given: Sequence[Piece]) -> Sequence[Piece]:
    """The pieces of a text: those of the script, when they are this text's."""
    whole = "".join(piece for piece in given if isinstance(piece, str))
    return given if given and whole == text else in_pieces(text)
