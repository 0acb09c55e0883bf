"""The price of a call by the table of prices, and sums of what is stored."""

from __future__ import annotations

from dataclasses import replace

from agentspan.stored.request import ModelRequest
from agentspan.stored.usage import Usage, added
from agentspan.worker.prices import with_cost

ASKED = ModelRequest(
    model="openai/gpt-4o",
    instructions="",
    tools=(),
    tool_tasks={},
    limited=(),
    settings={},
    max_turns=1,
    max_chars=1000,
    keep_chars=500,
)
TOKENS = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "cached_tokens": 0}


def test_the_table_knows_models_by_the_name_that_answered_or_was_asked() -> None:
    known = with_cost(ASKED, "openai/gpt-4o", TOKENS)
    assert known["cost"] > 1
    assert with_cost(ASKED, "openai/gpt-4o-of-some-day", TOKENS)["cost"] == known["cost"]


def test_what_is_cached_costs_less() -> None:
    cached = with_cost(ASKED, "openai/gpt-4o", {**TOKENS, "cached_tokens": 900_000})
    assert cached["cost"] < with_cost(ASKED, "openai/gpt-4o", TOKENS)["cost"]


def test_own_prices_come_first() -> None:
    request = replace(ASKED, settings={"prices": {"openai/gpt-4o": {"input": 1.0, "output": 2.0}}})
    assert with_cost(request, "openai/gpt-4o", TOKENS)["cost"] == 1.2


def test_nobody_knows() -> None:
    request = replace(ASKED, model="openai/llama-of-mine")
    assert with_cost(request, "openai/llama-of-mine", TOKENS) == {**TOKENS, "unpriced": 1}


def test_sums() -> None:
    assert added(({}, {"prompt_tokens": 1, "cost": 0.1}, {"prompt_tokens": 2, "cost": 0.2, "cached_tokens": 3})) == {
        "prompt_tokens": 3,
        "cost": 0.3,
        "cached_tokens": 3,
    }
    assert Usage.of(None) == Usage()
    assert Usage(1200, 34, 1000, cost=0.5).told == "1,200 tokens in (1,000 cached), 34 out, $0.5000"
