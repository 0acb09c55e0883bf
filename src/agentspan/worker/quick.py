"""Sending a long conversation without the walk through it that OpenAI's SDK makes for each request.

It turns Python values into JSON's names and forms by the types of its parameters, which takes a millisecond a message.
What pydantic-ai gives it is JSON already; it is passed beside that walk. Anthropic's SDK is as quick without.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from pydantic_ai.models import Model

_REQUESTS = {
    "OpenAIChatModel": ("chat.completions", "messages"),
    "OpenAIResponsesModel": ("responses", "input"),
}
"""For a kind of model: what of its client makes the request, and which argument is the conversation."""


def hurry(model: Model) -> bool:
    """Let a model's client send conversations as they are, and make no tries of its own; False of other clients."""
    client: Any = getattr(model, "client", None)
    kinds = [kind.__name__ for kind in type(model).__mro__ if kind.__name__ in _REQUESTS]
    if not kinds or type(client).__name__ != "AsyncOpenAI":
        return False
    path, conversation = _REQUESTS[kinds[0]]
    resource = attrgetter(path)(client)
    resource.create = _passing(resource.create, conversation)
    client.max_retries = 0
    return True


def _passing(create: Callable[..., Awaitable[Any]], conversation: str) -> Callable[..., Awaitable[Any]]:
    async def quick(**given: Any) -> Any:
        messages = given[conversation]
        if not _is_json(messages):
            return await create(**given)
        beside = {**(given.get("extra_body") or {}), conversation: messages}
        return await create(**{**given, conversation: [], "extra_body": beside})

    return quick


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
