"""Thoughts of models: whose are sent back, and when Anthropic can think."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, ThinkingPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import Model


def own_thoughts(model: Model, messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """The messages, less the thoughts of other providers, which are signed for these alone."""
    return [
        replace(message, parts=[part for part in message.parts if not isinstance(part, ThinkingPart)])
        if isinstance(message, ModelResponse) and message.provider_name not in (None, model.system)
        else message
        for message in messages
    ]


ANSWER = 8192
"""Tokens of an answer, where nothing else is said; thoughts come on top of it."""

_SETTINGS = ("anthropic_thinking", "thinking")


def with_thinking(model: Model, settings: dict[str, Any], messages: Sequence[ModelMessage]) -> Any:
    """The settings, as Anthropic takes them: with room for an answer beside the thoughts, or without thinking.

    The calls since the newest prompt must begin with a thought of its own there. They do not where another model made
    the first ones, or where these were left out for the budget.
    """
    if model.system != "anthropic" or not any(name in settings for name in _SETTINGS):
        return settings
    budget = settings.get("anthropic_thinking", {}).get("budget_tokens", 0)
    settings = {"max_tokens": budget + ANSWER, **settings}
    first = _first_since_the_prompt(messages)
    if first is None or not any(isinstance(part, ToolCallPart) for part in first.parts):
        return settings
    if any(isinstance(part, ThinkingPart) and part.signature for part in first.parts):
        return settings
    return {name: value for name, value in settings.items() if name not in _SETTINGS}


def _first_since_the_prompt(messages: Sequence[ModelMessage]) -> ModelResponse | None:
    found: ModelResponse | None = None
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            found = message
        elif any(isinstance(part, UserPromptPart) for part in message.parts):
            break
    return found
