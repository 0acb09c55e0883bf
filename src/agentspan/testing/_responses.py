"""OpenAI's Responses shape, which Conductor speaks to OpenAI."""

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
    signature,
)

SYSTEM_ROLES = ("system", "developer")


def _read(body: dict[str, Any]) -> Conversation:
    items = body.get("input") or []
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    system = [body["instructions"]] if body.get("instructions") else []
    system += [text_of(item.get("content")) for item in items if item.get("role") in SYSTEM_ROLES]
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


def _write(request: ModelRequest, reply: Reply) -> Json:
    body, cut = request.body, _CUT.get(reply.ended)
    return {
        "id": f"resp_{request.fingerprint}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
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
        "usage": _usage(request.tokens, output_tokens(reply), len(reply.thinking) // 4),
    }


_CUT = {"length": "max_output_tokens", "refusal": "content_filter", "content_filter": "content_filter"}


def _output_items(request: ModelRequest, reply: Reply) -> list[Json]:
    # What follows a reasoning item bears its number, by which it is missed later.
    about = request.fingerprint + ("r" if reply.thinking else "")
    items = [_reasoning_item(request, reply.thinking)] if reply.thinking else []
    if reply.text or reply.refusal or not reply.tool_calls:
        items.append(_message_item(about, reply))
    calls = list(identified(request, reply))
    done = "incomplete" if reply.ended == "length" else "completed"
    return items + [_call_item(f"fc_{about}_{place}", call, done) for place, call in enumerate(calls)]


def _reasoning_item(request: ModelRequest, thinking: str) -> Json:
    item_id = f"rs_{request.fingerprint}"
    wanted = "reasoning.encrypted_content" in (request.body.get("include") or ())
    return {
        "type": "reasoning",
        "id": item_id,
        "summary": [{"type": "summary_text", "text": thinking}],
        "encrypted_content": signature("openai", item_id) if wanted else None,
        "status": None,
    }


def _message_item(about: str, reply: Reply) -> Json:
    said: Json = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{about}",
        "role": "assistant",
        "status": "incomplete" if reply.ended in _CUT else "completed",
        "content": [{"type": "refusal", "refusal": reply.refusal} if reply.refusal else said],
    }


def _call_item(item_id: str, call: ToolCall, status: str) -> Json:
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments_text(call),
        "status": status,
    }


def _usage(sent: int, made: int, thought: int) -> Json:
    return {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": sent + made,
    }


def _stream(body: Json, pieces: Sequence[Piece]) -> Chunks:
    number = 0
    for entry in _stream_of(body, pieces):
        if isinstance(entry, tuple):
            name, data = entry
            yield name, {"type": name, "sequence_number": number, **data}
            number += 1
        else:
            yield entry


def _stream_of(body: Json, pieces: Sequence[Piece]) -> Iterator[tuple[str, Json] | Piece]:
    begun = {**body, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for place, item in enumerate(body["output"]):
        empty = {"message": "content", "reasoning": "summary"}.get(item["type"])
        started: Json = {**item, "status": "in_progress", **({empty: []} if empty else {"arguments": ""})}
        yield "response.output_item.added", {"output_index": place, "item": started}
        yield from _STREAMED[item["type"]](item, {"output_index": place, "item_id": item["id"]}, pieces)
        yield "response.output_item.done", {"output_index": place, "item": item}
    yield f"response.{body['status']}", {"response": body}


def _stream_message(item: Json, where: Json, pieces: Sequence[Piece]) -> Iterator[tuple[str, Json] | Piece]:
    (part,) = item["content"]
    kind = "text" if part["type"] == "output_text" else "refusal"
    where = {**where, "content_index": 0}
    yield "response.content_part.added", {**where, "part": {**part, kind: ""}}
    more: Json = {"logprobs": []} if kind == "text" else {}
    for piece in pieces_of(part[kind], pieces):
        if isinstance(piece, str):
            yield f"response.{part['type']}.delta", {**where, "delta": piece, **more}
        else:
            yield piece
    yield f"response.{part['type']}.done", {**where, kind: part[kind], **more}
    yield "response.content_part.done", {**where, "part": part}


def _stream_reasoning(item: Json, where: Json, _: Sequence[Piece]) -> Iterator[tuple[str, Json] | Piece]:
    for place, part in enumerate(item["summary"]):
        at = {**where, "summary_index": place}
        yield "response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
        for piece in in_pieces(part["text"]):
            yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
        yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**at, "part": part}


def _stream_call(item: Json, where: Json, _: Sequence[Piece]) -> Iterator[tuple[str, Json] | Piece]:
    for piece in in_pieces(item["arguments"]):
        yield "response.function_call_arguments.delta", {**where, "delta": piece}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield "response.function_call_arguments.done", {**where, **done}


_STREAMED = {"message": _stream_message, "reasoning": _stream_reasoning, "function_call": _stream_call}

_AFTER_REASONING = re.compile(r"(?:fc|msg)_([0-9a-f]+)r(?:_\d+)?")


def _faults(request: ModelRequest) -> Iterator[str]:
    items = request.body.get("input") or []
    open_id, seen = None, set()
    for item in items if isinstance(items, list) else ():
        kind, item_id = item.get("type", "message"), item.get("id") or ""
        if kind == "reasoning":
            yield from _reasoning_faults(item, stored=request.body.get("store", True))
            open_id = item_id
            seen.add(item_id)
            continue
        if open_id is not None and not _follows(item, kind):
            yield _WITHOUT_FOLLOWER.format(open_id)
        open_id = None
        found = _AFTER_REASONING.fullmatch(item_id)
        if found and f"rs_{found[1]}" not in seen:
            missing = f"rs_{found[1]}"
            yield f"Item '{item_id}' of type '{kind}' was provided without its required 'reasoning' item: '{missing}'."
    if open_id is not None:
        yield _WITHOUT_FOLLOWER.format(open_id)


_WITHOUT_FOLLOWER = "Item '{}' of type 'reasoning' was provided without its required following item."


def _follows(item: Json, kind: str) -> bool:
    return kind == "function_call" or (kind == "message" and item.get("role") == "assistant")


def _reasoning_faults(item: Json, *, stored: bool) -> Iterator[str]:
    item_id, sealed = item.get("id") or "", item.get("encrypted_content")
    if sealed is None and not stored:
        yield f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false."
    if sealed is not None and sealed != signature("openai", item_id):
        yield f"The encrypted content for item {item_id} could not be verified."


RESPONSES = Wire(
    "openai",
    re.compile(r"(/v1)?/responses"),
    "/responses",
    _read,
    _write,
    _stream,
    refuse,
    _faults,
)
