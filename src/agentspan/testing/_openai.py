"""OpenAI's two shapes: Responses, which Conductor speaks to OpenAI, and Chat Completions."""

from __future__ import annotations

import time
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
from agentspan.testing._replies import Failure, Reply
from agentspan.testing._wire import Wire, arguments_text, identified, offered, output_tokens

_SYSTEM_ROLES = ("system", "developer")


def _read_responses(body: dict[str, Any]) -> Conversation:
    items = body.get("input") or []
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    system = [body["instructions"]] if body.get("instructions") else []
    system += [text_of(item.get("content")) for item in items if item.get("role") in _SYSTEM_ROLES]
    turns: list[Turn] = []
    for item in items:
        _add_item(turns, item)
    tools = tuple(offered(tool, "parameters") for tool in body.get("tools") or ())
    return Conversation("\n".join(system), tuple(turns), tools)


def _add_item(turns: list[Turn], item: dict[str, Any]) -> None:
    kind = item.get("type", "message")
    if kind == "function_call":
        _add_call(turns, read_call(item["call_id"], item["name"], item["arguments"]))
    elif kind == "function_call_output":
        add_results(turns, (read_result(item["call_id"], text_of(item.get("output")), turns),))
    elif kind == "message" and item["role"] in ("user", "assistant"):
        turns.append(Turn(item["role"], text_of(item.get("content"))))


def _add_call(turns: list[Turn], call: ToolCall) -> None:
    # The calls of one turn, and the text before them, are items of their own.
    asked = turns.pop() if turns and turns[-1].role == "assistant" else Turn("assistant")
    turns.append(Turn("assistant", asked.text, (*asked.tool_calls, call)))


def _write_responses(request: ModelRequest, reply: Reply) -> dict[str, Any]:
    body, cut = request.body, reply.finish != "stop"
    reason = "max_output_tokens" if reply.finish == "length" else "content_filter"
    return {
        "id": f"resp_{request.fingerprint}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if cut else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": {},
        "model": request.model,
        "output": _output_items(request, reply),
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text", {"format": {"type": "text"}}),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _responses_usage(request.tokens, output_tokens(reply)),
    }


def _output_items(request: ModelRequest, reply: Reply) -> list[dict[str, Any]]:
    items = [_message_item(request, reply)] if reply.text or not reply.tool_calls else []
    return items + [_call_item(call) for call in identified(request, reply)]


def _message_item(request: ModelRequest, reply: Reply) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{request.fingerprint}",
        "role": "assistant",
        "status": "completed" if reply.finish == "stop" else "incomplete",
        "content": [{"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}],
    }


def _call_item(call: ToolCall) -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{call.id}",
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments_text(call),
        "status": "completed",
    }


def _responses_usage(sent: int, made: int) -> dict[str, Any]:
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + made,
    }


def _read_chat(body: dict[str, Any]) -> Conversation:
    messages = body.get("messages") or []
    system = [text_of(m.get("content")) for m in messages if m["role"] in _SYSTEM_ROLES]
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


def _write_chat(request: ModelRequest, reply: Reply) -> dict[str, Any]:
    sent, made = request.tokens, output_tokens(reply)
    return {
        "id": f"chatcmpl-{request.fingerprint}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": _chat_message(request, reply),
                "logprobs": None,
                "finish_reason": _chat_finish(reply),
            }
        ],
        "usage": {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made},
        "system_fingerprint": None,
    }


def _chat_message(request: ModelRequest, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [_chat_call(call) for call in identified(request, reply)]
    return message


def _chat_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function}


def _chat_finish(reply: Reply) -> str:
    if reply.tool_calls:
        return "tool_calls"
    return {"stop": "stop", "length": "length", "refusal": "content_filter"}[reply.finish]


_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def _refuse(failure: Failure) -> dict[str, Any]:
    usual = ("server_error", None) if failure.status >= 500 else ("invalid_request_error", None)
    kind, code = _ERRORS.get(failure.status, usual)
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}


RESPONSES = Wire("openai", "/responses", _read_responses, _write_responses, _refuse)
CHAT = Wire("openai-chat", "/chat/completions", _read_chat, _write_chat, _refuse)
