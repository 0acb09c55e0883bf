"""The seam between the scripted model and a provider's wire shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from agentspan.testing._replies import Failure, Reply


@dataclass(frozen=True)
class Wire:
    """A provider's HTTP shape.

    Attributes:
        provider: Its name.
        path: Where requests are posted to, without the `/v1` before it.
        read: Gives the conversation in a request's body.
        write: Gives the body of an answer.
        refuse: Gives the body of an error.
    """

    provider: Provider
    path: str
    read: Callable[[dict[str, Any]], Conversation]
    write: Callable[[ModelRequest, Reply], dict[str, Any]]
    refuse: Callable[[Failure], dict[str, Any]]


def identified(request: ModelRequest, reply: Reply) -> Iterator[ToolCall]:
    """The reply's calls, each with an id."""
    for index, call in enumerate(reply.tool_calls):
        yield call if call.id else replace(call, id=request.call_id(index))


def arguments_text(call: ToolCall) -> str:
    """The call's arguments as JSON text, or whatever text the script wants instead."""
    return json.dumps(call.arguments, allow_nan=False) if call.text is None else call.text


def output_tokens(reply: Reply) -> int:
    """An estimate of the tokens in a reply."""
    return estimate_tokens(reply.text + "".join(c.name + arguments_text(c) for c in reply.tool_calls))


def offered(definition: dict[str, Any], schema_key: str) -> OfferedTool:
    """Read a tool's definition; a provider's built-in tool has only a type."""
    name = definition.get("name") or definition.get("type") or ""
    return OfferedTool(name, definition.get("description") or "", definition.get(schema_key) or {})
