"""What a run costs: tokens of each kind and their price, in all places that tell of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    DefinitionError,
    ModelSettings,
    Price,
    Retry,
    Usage,
    agent_tool,
    tool,
)
from agentspan.stored.usage import added
from agentspan.testing import call, say, stream
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


def test_the_servers_own_calls_are_priced_by_who_reads_them(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("count", number=1), say("One.")])
    prices = {played: Price(input=3, output=15)}
    agent = Agent("costs_server_priced", model=played, tools=[count], model_settings=ModelSettings(prices=prices))
    handle = runtime.start(agent, "How many?")

    usage = handle.result(timeout=60).usage
    assert usage.cost == pytest.approx((usage.prompt_tokens * 3 + usage.completion_tokens * 15) / 1e6)
    assert handle.get_status().usage == usage
    assert handle.usage_by_model() == {played: usage}
    assert total(handle) == usage


def test_the_events_of_a_run_have_what_it_used(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(clerk("costs_events", model, Price(input=3, output=15)), "How many?")
    usage = handle.result(timeout=60).usage

    events = list(handle.stream())
    assert total(handle).cost == pytest.approx(usage.cost)
    assert [event.type for event in events if event.usage] == ["tool_call"] * 10 + ["done"]
    assert json.loads(json.dumps(events[1].to_json()))["usage"]["cost"] > 0


def test_what_called_agents_used_is_in_the_events_of_the_caller(runtime: AgentRuntime, model: Stage) -> None:
    below = replace(clerk("costs_below", model), description="Counts whales.")
    script = [call("costs_below", request="How many?"), say("Many.")]
    above = replace(clerk("costs_above", model), model=model.play(script, "anthropic"), tools=(agent_tool(below),))
    handle = runtime.start(above, "How many?")

    usage = handle.result(timeout=60).usage
    assert total(handle) == usage
    assert usage.unpriced == 13


def total(handle: AgentHandle) -> Usage:
    return Usage.of(added(event.usage.to_json() for event in handle.stream() if event.usage))


def test_tries_that_failed_are_counted(runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "none")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model.server.anthropic_url)
    broken = call("count", '{"number": ')  # of which Gemini says no more than that it was malformed
    tries = iter([broken, broken, say("Two.")])
    played = model.play(lambda _: next(tries), provider="gemini")
    settings = ModelSettings(prices={played: Price(input=3, output=15)})
    retry = Retry(3, delay=0)
    agent = Agent("costs_tries", model=played, model_place="worker", model_settings=settings, model_retry=retry)
    agent = replace(agent, tools=[count])
    handle = runtime.start(agent, "How many?")

    usage = handle.result(timeout=60).usage
    (step,) = handle.steps()
    assert step.model.usage == usage == handle.get_status().usage == total(handle)
    assert [event.type for event in handle.stream() if event.usage] == ["model_retry", "model_retry", "done"]
    (last,) = [event.usage for event in handle.stream() if event.type == "done"]
    assert last is not None
    assert usage.prompt_tokens == 3 * last.prompt_tokens > 0


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_an_answer_that_breaks_off_while_it_comes_counts_as_far_as_it_is_known(
    runtime: AgentRuntime, model: Stage, provider: str
) -> None:
    """Anthropic tells what it was sent as the answer begins, OpenAI all of it at the end alone."""
    tries = iter([stream("Thr", "ee", dropped=True), stream("Th", dropped=True), say("Three.")])
    played = model.play(lambda _: next(tries), provider=provider)
    url = model.server.anthropic_url if provider == "anthropic" else model.server.openai_url
    settings = ModelSettings(base_url=url, stream=True, prices={played: Price(input=3, output=15)})
    retry = Retry(3, delay=0)
    agent = Agent(
        f"costs_broken_{provider}", model=played, model_place="worker", model_settings=settings, model_retry=retry
    )
    handle = runtime.start(agent, "How many?")

    result = handle.result(timeout=60)
    sent = [request.tokens for request in model.requests(played)]
    assert (result.output, len(sent)) == ("Three.", 3)
    assert result.usage.prompt_tokens == (sum(sent) if provider == "anthropic" else sent[-1])
    (step,) = handle.steps()
    assert step.model.usage == result.usage == handle.get_status().usage == total(handle)
    assert handle.usage_by_model() == {played: result.usage}
    assert [event.type for event in handle.stream() if event.usage] == [
        *(["model_retry"] * 2 if provider == "anthropic" else []),
        "done",
    ]


def test_of_a_model_that_broke_off_the_tokens_count_beside_those_of_who_answered(
    runtime: AgentRuntime, model: Stage
) -> None:
    """In the same try: they stand with who was passed over."""
    broken = model.play([stream("Thr", dropped=True)], provider="anthropic")
    answers = model.play([say("Three.")], provider="anthropic")
    settings = ModelSettings(base_url=model.server.anthropic_url, stream=True)
    agent = Agent("costs_passed_over", model=(broken, answers), model_place="worker", model_settings=settings)
    handle = runtime.start(agent, "How many?")

    usage = handle.result(timeout=60).usage
    assert usage.prompt_tokens == sum(request.tokens for each in (broken, answers) for request in model.requests(each))
    assert usage == handle.get_status().usage == total(handle)
