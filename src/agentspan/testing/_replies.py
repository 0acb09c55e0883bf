"""What a scripted model answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from agentspan.testing._conversation import ToolCall

Finish = Literal["stop", "length", "refusal", "content_filter", "tool_calls"]

Piece: TypeAlias = str | float | threading.Event
"""Of a streamed text: some of it, or what comes before the next of it: seconds, or an event that is waited for."""


@dataclass(frozen=True)
class Failure:
    """A refusal by the provider."""

    status: int
    message: str
    retry_after: float | datetime | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the model. Made with `say`, `stream`, `call`, `calls`, `refuse`, `fail`, `raw` and `hang`.

    Attributes:
        text: What it says.
        tool_calls: What it asks for.
        finish: Why it stopped; None for what fits: "tool_calls" or "stop".
        thinking: What it thought before. It comes signed, and the provider wants it back as its rules say.
        refusal: The model's own words for declining, where the provider tells them apart.
        call_ids: The ids of its calls as they stand on the wire, also empty or equal ones; ids are made unless given.
        image: A PNG image in the answer (Gemini).
        pieces: The text as it is streamed; in pieces of 16 characters unless given.
        failure: Set when it is an error.
        dropped: Whether the connection is closed without an answer; of one with `pieces`, after these.
        delay: Seconds to wait before it.
        body: What is answered instead of all this, with status 200.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    thinking: str = ""
    refusal: str = ""
    call_ids: tuple[str, ...] | None = None
    image: bytes | None = None
    pieces: tuple[Piece, ...] = ()
    failure: Failure | None = None
    dropped: bool = False
    delay: float = 0.0
    body: dict[str, Any] | None = None

    @property
    def ended(self) -> Finish:
        """Why it stopped."""
        return self.finish or ("tool_calls" if self.tool_calls else "stop")

    def after(self, seconds: float) -> Reply:
        """The same reply, `seconds` later."""
        return replace(self, delay=self.delay + seconds)

    def thought(self, thinking: str) -> Reply:
        """The same reply, with what the model thought before it."""
        return replace(self, thinking=thinking)

    def ending(self, finish: Finish) -> Reply:
        """The same reply, ended for another reason: `call("search", '{"query": "wha').ending("length")`."""
        return replace(self, finish=finish)

    def with_ids(self, *ids: str) -> Reply:
        """The same reply, its calls' ids as they are given, also empty or equal ones."""
        return replace(self, call_ids=ids)


def say(text: str, *, finish: Finish = "stop") -> Reply:
    """Answer with a text.

    Args:
        text: The answer.
        finish: "length" for an answer cut off by the token limit, "refusal" or "content_filter" for one that was
            filtered.
    """
    return Reply(text=text, finish=finish)


def stream(*pieces: Piece, dropped: bool = False) -> Reply:
    """Answer with a text in these pieces, to a request that streams; to another one with the whole of it.

    Args:
        *pieces: Texts. A number between them pauses for that many seconds, a `threading.Event` until it is set.
        dropped: Close the connection after the last of them, as if the provider died in mid-answer.

    Example:
        `stream("Whales ", seen, "sing.")` says its second word when the test has called `seen.set()`.
    """
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return Reply(text=text, pieces=pieces, dropped=dropped)


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


def refuse(words: str) -> Reply:
    """Decline to answer, as the model itself does."""
    return Reply(refusal=words)


def fail(status: int, message: str | None = None, *, retry_after: float | datetime | None = None) -> Reply:
    """Refuse the call as the provider does.

    Args:
        status: The HTTP status; 529 is Anthropic's "overloaded".
        message: The provider's message.
        retry_after: The `retry-after` header: seconds, or when.
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
