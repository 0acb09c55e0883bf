"""OpenAI's Chat Completions shape, which its many stand-ins speak."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from agentspan.testing._conversation import (
    Conversation,
    ModelRequest,
    ToolCall,
    Turn,
    add_results,
    read_call,
    read_result,
    text_of,
)
from agentspan.testing._openai_errors import refuse
from agentspan.testing._replies import Piece, Reply
from agentspan.testing._responses import SYSTEM_ROLES
from agentspan.testing._wire import (
    Chunks,
    Json,
    Wire,
    arguments_text,
    identified,
    in_pieces,
    offered,
    output_tokens,
    pieces_of,
)


def _read(body: dict[str, Any]) -> Conversation:
    messages = body.get("messages") or []
    system = [text_of(m.get("content")) for m in messages if m["role"] in SYSTEM_ROLES]
    turns: list[Turn] = []
    for message in messages:
        _add_message(turns, message)
    tools = tuple(offered(tool.get("function") or tool, "parameters") for tool in body.get("tools") or ())
    return Conversation("\n".join(system), tuple(turns), tools)


def _add_message(turns: list[Turn], message: dict[str, Any]) -> None:
    role, text = message["role"], text_of(message.get("content"))
    if role == "tool":
        add_results(turns, (read_result(message["tool_call_id"], text, turns),))
    elif role == "assistant":
        turns.append(Turn("assistant", text, _calls_in(message)))
    elif role == "user":
        turns.append(Turn("user", text))


def _calls_in(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    asked = message.get("tool_calls") or ()
    return tuple(read_call(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in asked)


def _write(request: ModelRequest, reply: Reply) -> Json:
    sent, made = request.tokens, output_tokens(reply)
    return {
        "id": f"chatcmpl-{request.fingerprint}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {"index": 0, "message": _answer(request, reply), "logprobs": None, "finish_reason": _FINISH[reply.ended]}
        ],
        "usage": {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made},
        "system_fingerprint": None,
    }


_FINISH = {
    "stop": "stop",
    "length": "length",
    "refusal": "content_filter",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}


def _answer(request: ModelRequest, reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.text, "refusal": reply.refusal or None}
    if reply.refusal:
        message["content"] = None
    if reply.thinking:  # as DeepSeek, vLLM and their like do; nothing of it is asked back
        message["reasoning_content"] = reply.thinking
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [_call(call) for call in identified(request, reply)]
    return message


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function}


def _stream(body: Json, pieces: Sequence[Piece]) -> Chunks:
    (choice,) = body["choices"]
    base = {**body, "object": "chat.completion.chunk"}
    del base["usage"]
    for delta in _deltas(choice["message"], pieces):
        yield (None, _chunk(base, delta, None)) if isinstance(delta, dict) else delta
    yield None, _chunk(base, {}, choice["finish_reason"])
    yield None, {**base, "choices": [], "usage": body["usage"]}
    yield None, "[DONE]"


def _chunk(base: Json, delta: Json, finish: str | None) -> Json:
    return {**base, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _deltas(message: Json, pieces: Sequence[Piece]) -> Iterator[Json | Piece]:
    yield {"role": "assistant", "content": ""}
    for name in ("reasoning_content", "content", "refusal"):
        text = message.get(name) or ""
        for piece in pieces_of(text, pieces if name == "content" else ()):
            yield {name: piece} if isinstance(piece, str) else piece
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": place, "function": {"name": function["name"], "arguments": ""}}]}
        for piece in in_pieces(function["arguments"]):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def _faults(request: ModelRequest) -> Iterator[str]:
    for place, message in enumerate(request.body.get("messages") or ()):
        if message["role"] not in _ROLES:
            yield f"messages[{place}].role: {message['role']!r} is not one of {', '.join(_ROLES)}"
        if message["role"] == "assistant" and message.get("content") is None and not _says(message):
            yield f"messages[{place}]: an assistant message has content or tool_calls"


_ROLES = ("developer", "system", "user", "assistant", "tool")


def _says(message: Json) -> bool:
    return bool(message.get("tool_calls") or message.get("refusal"))


CHAT = Wire(
    "openai-chat",
    re.compile(r"(/v1)?/chat/completions"),
    "/chat/completions",
    _read,
    _write,
    _stream,
    refuse,
    _faults,
)
