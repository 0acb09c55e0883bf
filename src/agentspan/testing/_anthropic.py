"""Anthropic's Messages shape."""

from __future__ import annotations

import json
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
from agentspan.testing._replies import Failure, Reply
from agentspan.testing._wire import Wire, identified, offered, output_tokens

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}
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


def _write(request: ModelRequest, reply: Reply) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [_call_block(call) for call in identified(request, reply)]
    return {
        "id": f"msg_{request.fingerprint}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": "tool_use" if reply.tool_calls else _STOP_REASONS[reply.finish],
        "stop_sequence": None,
        "usage": {
            "input_tokens": request.tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens(reply),
            "service_tier": "standard",
        },
    }


def _call_block(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments if call.text is None else parse_json(call.text)
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _refuse(failure: Failure) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(failure.status, "api_error" if failure.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}}


MESSAGES = Wire("anthropic", "/messages", _read, _write, _refuse)
