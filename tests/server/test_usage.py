"""What a run costs: tokens of each kind and their price, in all places that tell of it."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, AgentRuntime, DefinitionError, ModelSettings, Price, Usage, tool
from agentspan.testing import call, say
from agentspan.testing.plugin import Stage


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")


LONG = "You know all about whales. " * 400


@tool
def count(number: int) -> str:
    """Count whales."""
    return f"{number} whales"


def clerk(name: str, model: Stage, price: Price | None = None) -> Agent:
    script = [*(call("count", number=number) for number in range(10)), say("Many.")]
    played = model.play(script, provider="anthropic")
    settings = ModelSettings(base_url=model.server.anthropic_url, prices={played: price} if price else {})
    return Agent(name, model=played, tools=[count], instructions=LONG, model_place="worker", model_settings=settings)


def test_a_run_tells_what_it_cost(runtime: AgentRuntime, model: Stage) -> None:
    price = Price(input=3, output=15, cached=0.3, cache_write=3.75)
    agent = clerk("costs", model, price)

    handle = runtime.start(agent, "How many?")
    usage = handle.result(timeout=60).usage

    requests = model.requests(agent.model)
    assert usage.cached_tokens == sum(request.cached_tokens for request in requests)
    assert usage.cache_write_tokens == sum(request.cache_write_tokens for request in requests)
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens
    rest = usage.prompt_tokens - usage.cached_tokens - (usage.cache_write_tokens or 0)
    expected = rest * 3 + usage.cached_tokens * 0.3 + (usage.cache_write_tokens or 0) * 3.75
    assert usage.cost == pytest.approx((expected + usage.completion_tokens * 15) / 1e6)
    assert handle.get_status().usage == usage
    steps = handle.steps()
    assert sum(step.model.usage.cost or 0 for step in steps) == pytest.approx(usage.cost)
    assert handle.usage_by_model() == {steps[0].model.model: usage}


def test_the_conversation_is_marked_for_the_cache_and_its_beginning_stays(runtime: AgentRuntime, model: Stage) -> None:
    agent = clerk("caches", model)
    runtime.run(agent, "How many?", timeout=60)

    first, *others = model.requests(agent.model)
    assert first.cached_tokens == 0
    assert first.cache_write_tokens > 1024
    for before, request in zip([first, *others], others, strict=False):
        assert request.cached_tokens >= before.cached_tokens + before.cache_write_tokens


def test_a_model_without_a_price_has_none(runtime: AgentRuntime, model: Stage) -> None:
    usage = runtime.run(clerk("costs_unknown", model), "How many?", timeout=60).usage
    assert (usage.cost, usage.unpriced) == (None, 11)
    assert usage.prompt_tokens > 0


def test_the_servers_own_calls_are_counted_and_not_priced(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("costs_server", model=model.play([call("count", number=1), say("One.")]), tools=[count])
    usage = runtime.run(agent, "How many?", timeout=60).usage
    assert usage == Usage(usage.prompt_tokens, usage.completion_tokens)
    assert usage.cost is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Price(input=-1, output=2),
        lambda: Price(input=1, output=None),  # type: ignore[arg-type]
        lambda: ModelSettings(prices={"gpt": Price(input=1, output=2)}),
        lambda: ModelSettings(prices={"openai/gpt": 2}),  # type: ignore[dict-item]
    ],
)
def test_prices_that_make_no_sense(make: object) -> None:
    with pytest.raises(DefinitionError, match="rice"):
        make()  # type: ignore[operator]
