"""Ids of a model's calls: each one its own in a run, also where a provider gives none, or the same ones again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic_ai.messages import ModelResponse, ModelResponsePart, ToolCallPart

INVENTED = "pyd_ai_"
"""How ids begin that pydantic-ai makes up for calls without one. To Gemini such an id is not sent."""


def with_own_ids(response: ModelResponse, turn: int, taken: Iterable[str]) -> ModelResponse:
    """The response, an id in it replaced where it was made up, or is there already: the same ones every time.

    Args:
        response: What the provider answered.
        turn: Which answer of the run it is.
        taken: Ids of calls before it.
    """
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if not calls:
        return response
    known = set(taken)
    ids: list[str] = []
    for place, call in enumerate(calls, 1):
        again = not call.tool_call_id or call.tool_call_id in known or call.tool_call_id.startswith(INVENTED)
        ids.append(f"{INVENTED}{turn}_{place}" if again else call.tool_call_id)
        known.add(ids[-1])
    if ids == [call.tool_call_id for call in calls]:
        return response
    named = iter(ids)
    return replace(response, parts=[_renamed(part, named) for part in response.parts])


def _renamed(part: ModelResponsePart, ids: Iterator[str]) -> ModelResponsePart:
    return replace(part, tool_call_id=next(ids)) if isinstance(part, ToolCallPart) else part
