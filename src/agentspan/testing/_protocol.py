"""The rules by which every provider refuses a transcript."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentspan.testing._conversation import ModelRequest, Turn

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def faults(request: ModelRequest) -> Iterator[str]:
    """What the real provider would answer 400 to."""
    yield from _tool_faults(request)
    if not request.messages:
        yield "there are no messages"
    if not request.body.get("previous_response_id"):
        yield from _call_faults(request.messages)


def _tool_faults(request: ModelRequest) -> Iterator[str]:
    names = [tool.name for tool in request.tools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two tools are named {name!r}"
    for name in names:
        if not _TOOL_NAME.fullmatch(name):
            yield f"{name!r} is no tool name: letters, digits, _ and -, at most 64"


def _call_faults(turns: tuple[Turn, ...]) -> Iterator[str]:
    """Every call needs its result right after it, and every result its call right before it."""
    asked: list[str] = []
    seen: set[str] = set()
    for turn in turns:
        answered = [result.call_id for result in turn.tool_results]
        yield from (f"no tool result follows the call {call_id!r}" for call_id in asked if call_id not in answered)
        yield from (f"no tool call precedes the result for {call_id!r}" for call_id in answered if call_id not in asked)
        asked = [call.id for call in turn.tool_calls]
        yield from (f"the call id {call_id!r} is used twice" for call_id in _repeated(asked, seen))
    yield from (f"no tool result follows the call {call_id!r}" for call_id in asked)


def _repeated(ids: list[str], seen: set[str]) -> Iterator[str]:
    for call_id in ids:
        if call_id in seen:
            yield call_id
        seen.add(call_id)
