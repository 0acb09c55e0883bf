"""What a model call costs: by the agent's own prices, or by the table of genai-prices."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from genai_prices import Usage as Priced
from genai_prices import calc_price

from agentspan.declare.providers import find_provider
from agentspan.stored.request import ModelRequest
from agentspan.stored.usage import DIGITS, Usage

log: logging.Logger = logging.getLogger("agentspan.worker")

_PROVIDERS = {
    "google_gemini": "google",
    "vertex_ai": "google",
    "azure_openai": "azure",
    "bedrock": "aws",
    "Grok": "x-ai",
}
"""Conductor's names of providers that are not those of the table."""

_said: set[str] = set()
"""Models whose lack of a price has been told."""


def with_cost(request: ModelRequest, model: str, tokens: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens of a call with what they cost: `cost`, or `unpriced` where nobody knows.

    Args:
        request: How the model was asked; its settings may have prices.
        model: What answered, `provider/name`.
        tokens: What it counted.
    """
    usage = Usage.of(tokens)
    own = request.settings.get("prices") or {}
    price = own.get(request.model) or own.get(model)
    cost = _by_table(model, request.model, usage) if price is None else _by_price(price, usage)
    if cost is None:
        if request.model not in _said:
            _said.add(request.model)
            log.info("Nobody knows what %s costs; ModelSettings(prices=…) can say it.", request.model)
        return {**tokens, "unpriced": 1}
    return {**tokens, "cost": round(cost, DIGITS)}


def is_known(model: str) -> bool:
    """Whether the table has a price of a model.

    Args:
        model: `provider/name`.
    """
    return _by_table(model, model, Usage(1, 1)) is not None


def _by_price(price: Mapping[str, float | None], usage: Usage) -> float:
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    rest = usage.prompt_tokens - cached - written
    whole, answer = price["input"] or 0, price["output"] or 0
    of_cached = price.get("cached")
    of_written = price.get("cache_write")
    total = (
        rest * whole
        + cached * (whole if of_cached is None else of_cached)
        + written * (whole if of_written is None else of_written)
        + usage.completion_tokens * answer
    )
    return total / 1_000_000


def _by_table(model: str, asked: str, usage: Usage) -> float | None:
    counted = Priced(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
    )
    given = asked.partition("/")[0]
    provider = find_provider(given) or given.lower()
    for name in dict.fromkeys((model.partition("/")[2], asked.partition("/")[2])):
        try:
            return float(calc_price(counted, name, provider_id=_PROVIDERS.get(provider, provider)).total_price)
        except LookupError:
            continue
    return None
