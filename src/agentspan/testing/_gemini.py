"""Gemini's `generateContent`, whole and streamed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from agentspan.testing._conversation import (
    Conversation,
    ModelRequest,
    OfferedTool,
    ToolCall,
    ToolResult,
    Turn,
    add_results,
    parse_json,
)
from agentspan.testing._replies import Failure, Piece, Reply
from agentspan.testing._wire import Chunks, Json, Wire, identified, in_pieces, output_tokens, pieces_of, signature

_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "content_filter": "SAFETY",
    "tool_calls": "STOP",
}


def _read(body: Json) -> Conversation:
    turns: list[Turn] = []
    for content in body.get("contents") or ():
        _add_content(turns, content["parts"], content.get("role", "user"))
    system = "\n".join(part["text"] for part in (body.get("systemInstruction") or {}).get("parts") or ())
    return Conversation(system, tuple(turns), tuple(_offered(body)))


def _offered(body: Json) -> Iterator[OfferedTool]:
    for tool in body.get("tools") or ():
        for declared in tool.get("functionDeclarations") or ():
            schema = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
            yield OfferedTool(declared["name"], declared.get("description") or "", schema)


def _add_content(turns: list[Turn], parts: list[Json], role: str) -> None:
    text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    if role == "model":
        turns.append(Turn("assistant", text, tuple(_call(call, (len(turns), at)) for at, call in enumerate(calls))))
        return
    if results:
        add_results(turns, tuple(_results(results, turns)))
    if text or not results:
        turns.append(Turn("user", text))


def _call(call: Json, place: tuple[int, int]) -> ToolCall:
    args = call.get("args") or {}
    # Gemini needs no ids: calls and results are then told apart by their order.
    call_id = call.get("id") or "at_{}_{}".format(*place)
    return ToolCall(call_id, call["name"], args, json.dumps(args, sort_keys=True))


def _results(found: list[Json], before: list[Turn]) -> Iterator[ToolResult]:
    asked = [call for turn in before[-1:] for call in turn.tool_calls]
    for at, result in enumerate(found):
        same_place = asked[at].id if at < len(asked) and asked[at].name == result["name"] else "unknown"
        text = json.dumps(result.get("response"), ensure_ascii=False)
        yield ToolResult(result.get("id") or same_place, result["name"], text)


def _write(request: ModelRequest, reply: Reply) -> Json:
    broken = any(call.text is not None and not isinstance(parse_json(call.text), dict) for call in reply.tool_calls)
    parts = [] if broken else list(_parts(request, reply))
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0, "finishReason": _FINISH[reply.ended]}
    if not parts:
        candidate["content"] = {"role": "model"}
    if broken:  # its arguments are an object, so there is no other way to say it
        candidate["finishReason"] = "MAX_TOKENS" if reply.ended == "length" else "MALFORMED_FUNCTION_CALL"
    thought = len(reply.thinking) // 4
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": request.tokens,
            "candidatesTokenCount": output_tokens(reply),
            "thoughtsTokenCount": thought,
            "totalTokenCount": request.tokens + output_tokens(reply),
        },
        "modelVersion": request.model,
        "responseId": request.fingerprint,
    }


def _parts(request: ModelRequest, reply: Reply) -> Iterator[Json]:
    if reply.thinking:
        yield {"text": reply.thinking, "thought": True}
    said = reply.text or reply.refusal
    if said:
        yield {"text": said}
    if reply.image is not None:
        yield {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(reply.image).decode()}}
    for place, call in enumerate(identified(request, reply)):
        made: Json = {"name": call.name, "args": parse_json(call.text) if call.text is not None else call.arguments}
        part: Json = {"functionCall": {**made, "id": call.id} if reply.call_ids and call.id else made}
        # Only the first of parallel calls is signed.
        yield {**part, "thoughtSignature": _signed(made)} if not place and _signs(request, reply) else part


def _signs(request: ModelRequest, reply: Reply) -> bool:
    return bool(reply.thinking) or _always_signs(request)


def _always_signs(request: ModelRequest) -> bool:
    return request.model.startswith("gemini-3")


def _signed(call: Json) -> str:
    text = json.dumps([call["name"], call.get("args") or {}], sort_keys=True)
    return base64.b64encode(signature("gemini", text).encode()).decode()


def _stream(body: Json, pieces: Sequence[Piece]) -> Chunks:
    (candidate,) = body["candidates"]
    parts = candidate["content"].get("parts") or []
    for part in parts:
        for bit in _bits(part, pieces):
            yield (None, _chunk(body, [bit])) if isinstance(bit, dict) else bit
    yield None, {**body, "candidates": [{**candidate, "content": {"parts": [{"text": ""}], "role": "model"}}]}


def _chunk(body: Json, parts: list[Json]) -> Json:
    return {**body, "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}]}


def _bits(part: Json, pieces: Sequence[Piece]) -> Iterator[Json | Piece]:
    text = part.get("text")
    if text is None:
        yield part
        return
    for piece in in_pieces(text) if part.get("thought") else pieces_of(text, pieces):
        yield {**part, "text": piece} if isinstance(piece, str) else piece


_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def _refuse(failure: Failure) -> Json:
    status = _STATUSES.get(failure.status, "INTERNAL" if failure.status >= 500 else "FAILED_PRECONDITION")
    return {"error": {"code": failure.status, "message": failure.message, "status": status}}


def _faults(request: ModelRequest) -> Iterator[str]:
    contents = request.body.get("contents") or []
    for place, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model", "function"):
            yield "Please use a valid role: user, model."
        if not content.get("parts"):
            yield f"GenerateContentRequest.contents[{place}].parts: contents.parts must not be empty."
    yield from _signature_faults(request, contents)
    for at, tool in enumerate(request.body.get("tools") or ()):
        for number, declared in enumerate(tool.get("functionDeclarations") or ()):
            if _has_reference(declared.get("parameters")):
                where = f"tools[{at}].function_declarations[{number}].parameters"
                yield f"Invalid JSON payload received. Unknown name \"$ref\" at '{where}': Cannot find field."


_UNCHECKED = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""What Gemini takes in place of a signature, for calls that another model made."""


def _signature_faults(request: ModelRequest, contents: list[Json]) -> Iterator[str]:
    newest = max((at for at, content in enumerate(contents) if _is_prompt(content)), default=0)
    for place, content in enumerate(contents):
        calls = [part for part in content.get("parts") or () if "functionCall" in part]
        for part in calls:
            given = part.get("thoughtSignature")
            if given is not None and not _is_signature(given, part["functionCall"]):
                yield "Corrupted thought signature."
        if calls and place > newest and _always_signs(request) and not calls[0].get("thoughtSignature"):
            yield (
                "Function call is missing a thought_signature in functionCall parts. Additional data, function call "
                f"`default_api:{calls[0]['functionCall']['name']}`, position {place + 1}."
            )


def _is_prompt(content: Json) -> bool:
    """Whether the user begins something new with it: only what came after is checked."""
    return content.get("role") != "model" and any("text" in part for part in content.get("parts") or ())


def _is_signature(given: str, call: Json) -> bool:
    plain = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_").decode(errors="replace")
    return plain in _UNCHECKED or given in _UNCHECKED or plain == base64.b64decode(_signed(call)).decode()


def _has_reference(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(_has_reference(value) for value in schema.values())
    return isinstance(schema, list) and any(_has_reference(value) for value in schema)


GEMINI = Wire(
    "gemini",
    re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<how>generateContent|streamGenerateContent)"),
    "/v1beta/models/MODEL:generateContent",
    _read,
    _write,
    _stream,
    _refuse,
    _faults,
)
