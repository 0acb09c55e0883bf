"""What model calls cost: by the agent's own prices, or by the table of genai-prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from agentspan.declare.providers import find_provider
from agentspan.reading.durations import moment
from agentspan.stored.format import IN_WORKER, PRICES, format_of
from agentspan.stored.usage import DIGITS, Usage

_PROVIDERS = {
    "google_gemini": "google",
    "vertex_ai": "google",
    "azure_openai": "azure",
    "bedrock": "aws",
    "Grok": "x-ai",
}
"""Conductor's names of providers that are not those of the table."""


def cost_of(
    usage: Usage, asked: str, answered: str, own: Mapping[str, Any], at: datetime | None = None, calls: int = 1
) -> float | None:
    """What tokens cost, in US dollars; None where nobody knows.

    Args:
        usage: The tokens.
        asked: The model that was asked, `provider/name`.
        answered: What answered.
        own: The agent's own prices, by the model.
        at: When; now unless given. Prices change.
        calls: Of how many calls these are the sums: some models cost more where a single one is long.
    """
    price = own.get(asked) or own.get(answered)
    cost = _by_table(usage, asked, answered, at, calls) if price is None else _by_price(price, usage)
    return None if cost is None else round(cost, DIGITS)


def priced_call(usage: Usage, metadata: Mapping[str, Any], at: int) -> Usage:
    """The tokens of a call that the server made, with what they cost; without that where nobody knows.

    Args:
        usage: The tokens.
        metadata: Of the definition of the agent's workflow.
        at: When, in milliseconds since 1970.
    """
    return _priced(usage, metadata, at, 1)


def priced_sum(usage: Usage, definition: Mapping[str, Any], steps: int, at: int) -> Usage:
    """The sums of a run with what the server's own calls cost; calls of workers are stored with their price.

    Sums in which the server's calls stand together with those of others cannot be taken apart: these calls then count
    as unpriced.

    Args:
        usage: The sums.
        definition: That of the run.
        steps: How many calls they are of.
        at: When the run began, in milliseconds since 1970.
    """
    metadata = definition.get("metadata", {})
    if format_of(metadata) >= IN_WORKER or "/" not in metadata.get("model", "") or not usage.total_tokens:
        return usage
    if usage.cost is not None or usage.unpriced:
        return replace(usage, unpriced=usage.unpriced + steps)
    return usage if _calls_agents(definition) else _priced(usage, metadata, at, steps)


def _calls_agents(definition: Mapping[str, Any]) -> bool:
    loops = (task for task in definition.get("tasks", ()) if task.get("type") == "DO_WHILE")
    given = (below.get("inputParameters") or {} for task in loops for below in task.get("loopOver", ()))
    return any("prompt" in part for inputs in given for part in (inputs.get("parts") or {}).values())


def _priced(usage: Usage, metadata: Mapping[str, Any], at: int, calls: int) -> Usage:
    model = str(metadata.get("model", ""))
    if not usage.total_tokens or usage.cost is not None:
        return usage
    return replace(usage, cost=cost_of(usage, model, model, metadata.get(PRICES) or {}, moment(at), max(1, calls)))


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


def _by_table(usage: Usage, asked: str, answered: str, at: datetime | None, calls: int) -> float | None:
    given = asked.partition("/")[0]
    provider = find_provider(given) or given.lower()
    for name in dict.fromkeys((answered.partition("/")[2], asked.partition("/")[2])):
        if _is_in_table(_PROVIDERS.get(provider, provider), name):
            return _looked_up(usage, _PROVIDERS.get(provider, provider), name, at, calls)
    return None


def load_table() -> None:
    """Load it now, rather than with the first price."""
    _is_in_table("openai", "gpt-4o")


@cache
def _table() -> Any:
    """The table, which takes a quarter of a second to load; None where it is not installed (the extra `models`)."""
    return import_module("genai_prices") if find_spec("genai_prices") is not None else None


@lru_cache(1024)
def _is_in_table(provider: str, name: str) -> bool:
    return _looked_up(Usage(1, 1), provider, name, None, 1) is not None


def _looked_up(usage: Usage, provider: str, name: str, at: datetime | None, calls: int) -> float | None:
    table = _table()
    if table is None:
        return None
    of_one = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_tokens": usage.cached_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
    }
    counted = table.Usage(**{what: Decimal(count) / calls if calls > 1 else count for what, count in of_one.items()})
    try:
        found = table.calc_price(counted, name, provider_id=provider, genai_request_timestamp=at)
    except LookupError:
        return None
    return float(found.total_price) * calls
