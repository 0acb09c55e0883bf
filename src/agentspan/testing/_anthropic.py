"""Anthropic's Messages shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from agentspan.testing._conversation import (
    Conversation,
    ModelRequest,
    ToolCall,
    ToolResult,
    Turn,
    add_results,
    parse_json,
    read_result,
    text_of,
)
from agentspan.testing._replies import Failure, Piece, Reply
from agentspan.testing._wire import (
    Chunks,
    Json,
    Wire,
    identified,
    in_pieces,
    offered,
    output_tokens,
    pieces_of,
    signature,
)

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _read(body: dict[str, Any]) -> Conversation:
    turns: list[Turn] = []
    for message in body.get("messages") or ():
        _add_message(turns, message)
    tools = tuple(offered(tool, "input_schema") for tool in body.get("tools") or ())
    return Conversation(text_of(body.get("system")), tuple(turns), tools)


def _add_message(turns: list[Turn], message: dict[str, Any]) -> None:
    text, results = text_of(message.get("content")), _results_in(message, turns)
    if message["role"] == "assistant":
        turns.append(Turn("assistant", text, _calls_in(message)))
        return
    if results:
        add_results(turns, results)
    if text or not results:
        turns.append(Turn("user", text))


def _calls_in(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(block["id"], block["name"], block["input"], json.dumps(block["input"], sort_keys=True))
        for block in _blocks(message, "tool_use")
    )


def _results_in(message: dict[str, Any], before: list[Turn]) -> tuple[ToolResult, ...]:
    return tuple(
        read_result(block["tool_use_id"], text_of(block.get("content")), before)
        for block in _blocks(message, "tool_result")
    )


def _blocks(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if block["type"] == kind] if isinstance(content, list) else []


def _write(request: ModelRequest, reply: Reply) -> Json:
    said = reply.refusal or reply.text
    content: list[Json] = []
    if reply.thinking:
        sealed = signature("anthropic", reply.thinking)
        content.append({"type": "thinking", "thinking": reply.thinking, "signature": sealed})
    content += [{"type": "text", "text": said}] if said else []
    content += [_call_block(call) for call in identified(request, reply)]
    return {
        "id": f"msg_{request.fingerprint}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": "refusal" if reply.refusal else _STOP_REASONS[reply.ended],
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(1, request.tokens - request.cached_tokens - request.cache_write_tokens),
            "cache_creation_input_tokens": request.cache_write_tokens,
            "cache_read_input_tokens": request.cached_tokens,
            "output_tokens": output_tokens(reply),
            "service_tier": "standard",
        },
    }


def _call_block(call: ToolCall) -> Json:
    arguments = call.arguments if call.text is None else parse_json(call.text)
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _stream(body: Json, pieces: Sequence[Piece]) -> Chunks:
    for entry in _stream_of(body, pieces):
        yield (entry["type"], entry) if isinstance(entry, dict) else entry


def _stream_of(body: Json, pieces: Sequence[Piece]) -> Iterator[Json | Piece]:
    begun = {**body, "content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for place, block in enumerate(body["content"]):
        empty = _EMPTY[block["type"]]
        yield {"type": "content_block_start", "index": place, "content_block": {**block, **empty}}
        for delta in _deltas(block, pieces):
            yield (
                {"type": "content_block_delta", "index": place, "delta": delta} if isinstance(delta, dict) else delta
            )
        yield {"type": "content_block_stop", "index": place}
    ended = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": body["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


_EMPTY: dict[str, Json] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}


def _deltas(block: Json, pieces: Sequence[Piece]) -> Iterator[Json | Piece]:
    if block["type"] == "text":
        for piece in pieces_of(block["text"], pieces):
            yield {"type": "text_delta", "text": piece} if isinstance(piece, str) else piece
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in in_pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        given = block["input"]
        text = given if isinstance(given, str) else json.dumps(given)
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in in_pieces(text))


def _refuse(failure: Failure) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(failure.status, "api_error" if failure.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}}


def _faults(request: ModelRequest) -> Iterator[str]:
    messages = request.body.get("messages") or []
    for place, message in enumerate(messages):
        yield from (f"messages.{place}.{fault}" for fault in _message_faults(message))
        if message["role"] == "user" and place:
            yield from (f"messages.{place}.{fault}" for fault in _order_faults(message, messages[place - 1]))
    if not request.body.get("tools") and any(_blocks(message, "tool_use") for message in messages):
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools"
    thinking = request.body.get("thinking") or {}
    if thinking.get("type") in ("enabled", "adaptive"):
        yield from _thinking_faults(request, thinking)


def _message_faults(message: Json) -> Iterator[str]:
    if message["role"] not in ("user", "assistant"):
        yield "role: expected 'user' or 'assistant'; a system prompt is a top-level parameter"
    content = message.get("content")
    if not content:
        yield "content: all messages must have non-empty content"
    for at, block in enumerate(content if isinstance(content, list) else ()):
        kind = block["type"]
        if kind == "text" and not block["text"]:
            yield f"content.{at}.text: text content blocks must be non-empty"
        if kind == "tool_use" and not isinstance(block["input"], dict):
            yield f"content.{at}.tool_use.input: Input should be a valid dictionary"
        if kind == "tool_use" and not _ID.fullmatch(block["id"]):
            yield f"content.{at}.tool_use.id: String should match pattern '{_ID.pattern}'"
        if kind == "thinking" and block.get("signature") != signature("anthropic", block["thinking"]):
            yield f"content.{at}: Invalid `signature` in `thinking` block"


_ID = re.compile(r"[a-zA-Z0-9_-]+")


def _order_faults(message: Json, before: Json) -> Iterator[str]:
    if _blocks(message, "tool_result") and not _blocks(before, "tool_use"):
        yield "content: `tool_result` blocks need `tool_use` blocks in the previous message"
    kinds = [block["type"] for block in message["content"]] if isinstance(message.get("content"), list) else []
    if "tool_result" in kinds and kinds[0] != "tool_result":
        yield "content: `tool_result` blocks come first in a message"


def _thinking_faults(request: ModelRequest, thinking: Json) -> Iterator[str]:
    if thinking.get("budget_tokens", 0) >= request.body.get("max_tokens", 0):
        yield "`max_tokens` must be greater than `thinking.budget_tokens`"
    messages = request.body["messages"]
    newest = max((at for at, message in enumerate(messages) if _is_prompt(message)), default=0)
    # Between calls it need not think again: how the turn begins is what counts.
    for place, message in enumerate(messages[newest + 1 : newest + 2], newest + 1):
        content = message.get("content")
        kinds = [block["type"] for block in content] if isinstance(content, list) else []
        if "tool_use" in kinds and kinds[0] not in _THOUGHTS:
            yield (
                f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block."
            )


def _is_prompt(message: Json) -> bool:
    """Whether the user begins something new with it: the calls before that need no thoughts any more."""
    return bool(message["role"] == "user" and not _blocks(message, "tool_result"))


_THOUGHTS = ("thinking", "redacted_thinking")


MESSAGES = Wire(
    "anthropic",
    re.compile(r"(/v1)?/messages"),
    "/messages",
    _read,
    _write,
    _stream,
    _refuse,
    _faults,
)
