"""What a scripted model answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal

from agentspan.testing._conversation import ToolCall

Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True)
class Failure:
    """A refusal by the provider."""

    status: int
    message: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the model. Made with `say`, `call`, `calls`, `fail`, `raw` and `hang`.

    Attributes:
        text: What it says.
        tool_calls: What it asks for.
        finish: Why it stopped.
        failure: Set when it is an error.
        dropped: Whether the connection is closed without an answer.
        delay: Seconds to wait before it.
        body: What is answered instead of all this, with status 200.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    failure: Failure | None = None
    dropped: bool = False
    delay: float = 0.0
    body: dict[str, Any] | None = None

    def after(self, seconds: float) -> Reply:
        """The same reply, `seconds` later."""
        return replace(self, delay=self.delay + seconds)


def say(text: str, *, finish: Finish = "stop") -> Reply:
    """Answer with a text.

    Args:
        text: The answer.
        finish: "length" for an answer cut off by the token limit, "refusal" for one that was filtered.
    """
    return Reply(text=text, finish=finish)


def call(tool: str, arguments: Mapping[str, Any] | str | None = None, /, **named: Any) -> Reply:
    """Ask for one tool call.

    Args:
        tool: The tool's name.
        arguments: Its arguments; a string is sent as it is, to see what becomes of broken JSON.
        **named: More arguments.

    Example:
        `call("search", query="whales")` and `call("search", {"query": "whales"})` are the same.
    """
    if isinstance(arguments, str):
        return Reply(tool_calls=(ToolCall("", tool, {}, text=arguments),))
    return Reply(tool_calls=(ToolCall("", tool, {**(arguments or {}), **named}),))


def calls(*replies: Reply, text: str = "") -> Reply:
    """Ask for several tool calls in one turn.

    Args:
        *replies: One `call(…)` each.
        text: What the model says along with them.
    """
    return Reply(text=text, tool_calls=tuple(asked for reply in replies for asked in reply.tool_calls))


def fail(status: int, message: str | None = None, *, retry_after: float | None = None) -> Reply:
    """Refuse the call as the provider does.

    Args:
        status: The HTTP status; 529 is Anthropic's "overloaded".
        message: The provider's message.
        retry_after: Seconds for the `retry-after` header.
    """
    return Reply(failure=Failure(status, message or _phrase(status), retry_after))


def raw(body: dict[str, Any]) -> Reply:
    """Answer with status 200 and a body as it stands, to see what becomes of what no other reply can say."""
    return Reply(body=body)


def hang(seconds: float) -> Reply:
    """Keep the caller waiting for `seconds`, then close the connection without an answer."""
    return Reply(dropped=True, delay=seconds)


def _phrase(status: int) -> str:
    known = {entry.value: entry.phrase for entry in HTTPStatus}
    return known.get(status, f"Status {status}")
