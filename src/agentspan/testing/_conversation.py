"""What a model was asked: one value, whichever provider's shape it arrived in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Provider = Literal["openai", "openai-chat", "anthropic", "gemini"]
Role = Literal["user", "assistant", "tool"]

CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for.

    Attributes:
        id: The call's id; in a reply an empty one is filled in.
        name: The tool.
        arguments: Its arguments; empty when `text` is not a JSON object.
        text: The arguments exactly as they are on the wire. Set it in a reply to send text that is not JSON.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    text: str | None = None


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered, as it was sent back to the model.

    Attributes:
        call_id: The call it answers.
        name: The tool; empty when the call itself is not in the transcript any more.
        text: The answer exactly as it was sent.
    """

    call_id: str
    name: str
    text: str

    @cached_property
    def output(self) -> Any:
        """The answer, parsed when it is JSON, else the text."""
        return parse_json(self.text)


@dataclass(frozen=True)
class Turn:
    """One entry of the transcript.

    The results of all calls of an assistant's turn form one turn of role "tool".
    """

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True)
class OfferedTool:
    """A tool that the model may call."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Conversation:
    """The part of a request that every provider's shape has."""

    system: str
    messages: tuple[Turn, ...]
    tools: tuple[OfferedTool, ...]


@dataclass(frozen=True)
class ModelRequest:
    """One call of the model.

    Attributes:
        provider: The shape it came in.
        model: The model's name.
        system: The system prompt; several are joined by a newline.
        messages: The transcript.
        tools: The tools on offer.
        body: The request as it was sent.
        headers: Its headers in lower case; the values of those that carry keys are removed.
        fingerprint: The same for the same model and transcript, in every process.
        tokens: An estimate of the tokens sent: four bytes each.
        attempt: How often this server has seen this very transcript, this time included. With it a script
            can fail a call and let its retry pass. It counts per transcript: two runs with the same
            prompt share it, and a restarted process begins again.
        streamed: Whether the answer is asked for bit by bit.
        cached_tokens: Those of the tokens that Anthropic's cache would have had.
        cache_write_tokens: Those that it would have kept.
    """

    provider: Provider
    model: str
    system: str
    messages: tuple[Turn, ...]
    tools: tuple[OfferedTool, ...]
    body: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    fingerprint: str
    tokens: int
    attempt: int = 1
    streamed: bool = False
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def turn(self) -> int:
        """How many assistant turns the transcript has, which is the index of the reply to come."""
        return sum(entry.role == "assistant" for entry in self.messages)

    @property
    def prompt(self) -> str:
        """The first text of the user."""
        return next((entry.text for entry in self.messages if entry.role == "user"), "")

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results that came after the last assistant turn."""
        results: tuple[ToolResult, ...] = ()
        for entry in self.messages:
            results = () if entry.role == "assistant" else results + entry.tool_results
        return results

    @property
    def last_result(self) -> ToolResult | None:
        """The last of `tool_results`, or None when the model has not just called a tool."""
        return self.tool_results[-1] if self.tool_results else None

    def call_id(self, index: int) -> str:
        """The id of the reply's call at `index`.

        A retried request gets the same ids; no other request of the conversation does, also
        after its older turns were trimmed, because all that is left of the transcript counts.
        """
        prefix = "toolu" if self.provider == "anthropic" else "call"
        return f"{prefix}_{self.turn}_{index}_{self.fingerprint[:12]}"


def fingerprint_of(model: str, turns: tuple[Turn, ...]) -> str:
    """A hash of the model and the transcript."""
    digest = hashlib.blake2b(digest_size=12)
    for text in (model, *(text for turn in turns for text in _texts(turn))):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def _texts(turn: Turn) -> Iterator[str]:
    yield from (turn.role, turn.text)
    for call in turn.tool_calls:
        yield from (call.id, call.name, call.text or "")
    for result in turn.tool_results:
        yield from (result.call_id, result.text)


def estimate_tokens(text: str | bytes) -> int:
    """Give a plausible number of tokens for a text."""
    return max(1, len(text) // CHARS_PER_TOKEN)


def read_call(call_id: str, name: str, text: str) -> ToolCall:
    """Read a call whose arguments are a JSON text."""
    arguments = parse_json(text)
    return ToolCall(call_id, name, arguments if isinstance(arguments, dict) else {}, text)


def read_result(call_id: str, text: str, before: list[Turn]) -> ToolResult:
    """Read a result; its tool's name is looked up in the turns before it."""
    calls = (call for entry in reversed(before) for call in entry.tool_calls)
    name = next((call.name for call in calls if call.id == call_id), "")
    return ToolResult(call_id, name, text)


def add_results(turns: list[Turn], results: tuple[ToolResult, ...]) -> None:
    """Append results, joining them with those just before."""
    if turns and turns[-1].role == "tool":
        results = turns.pop().tool_results + results
    turns.append(Turn("tool", tool_results=results))


def text_of(content: object) -> str:
    """The text of a message's content: a string, or the parts that have text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and part.get("text"))


def parse_json(text: str) -> object:
    """The value of a JSON text; the text itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
