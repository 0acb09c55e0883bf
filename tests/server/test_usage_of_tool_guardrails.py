"""What the models of tools' guardrails use counts for the run: in its sums, its events and its budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Budget,
    GuardrailError,
    LLMGuardrail,
    Retry,
    Tool,
    Usage,
    agent_tool,
    tool,
)
from agentspan.stored.usage import added
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.usefixtures("scripted_openai")

PLACES = pytest.mark.parametrize("place", ["worker", "server"])
SHAPES = pytest.mark.parametrize("turns", [[1], [2], [1, 2] * 5], ids=["one", "many", "over segments"])

LONG = "Nothing that is rude to whales. " * 200
"""A policy: whoever is asked about it is sent more than all others together."""


def ruling(passed: bool) -> Reply:
    return say(json.dumps({"passed": passed, "message": "" if passed else "no"}))


def passes(_: ModelRequest) -> Reply:
    return ruling(True)


def guarded(model: Stage, judge: Callable[[ModelRequest], Reply], **options: Any) -> tuple[Tool[..., Any], list[str]]:
    """A tool whose arguments and results a model looks at; and the names of these models."""
    judges = [model.play(judge), model.play(judge)]
    before = LLMGuardrail(judges[0], LONG, position="input", name="before", **options.pop("before", {}))
    after = LLMGuardrail(judges[1], LONG, name="after", **options.pop("after", {}))

    @tool(guardrails=[before, after], **options)
    def count(number: int) -> str:
        """Count whales."""
        return f"{number} whales"

    return count, judges


def counting(turns: list[int]) -> list[Reply]:
    return [calls(*[call("count", number=each) for each in range(many)]) for many in turns] + [say("Many.")]


def check_sums(handle: AgentHandle[Any], model: Stage, *played: str) -> Usage:
    """All that was asked counts, wherever it is told."""
    usage = handle.get_status().usage
    assert usage.prompt_tokens == sum(request.tokens for each in played for request in model.requests(each))
    for sums in (handle.usage_by_model(), handle.usage_by_agent()):
        assert sum(each.prompt_tokens for each in sums.values()) == usage.prompt_tokens
        assert sum(each.completion_tokens for each in sums.values()) == usage.completion_tokens
    told = Usage.of(added(event.usage.to_json() for event in handle.stream() if event.usage))
    assert (told.prompt_tokens, told.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    return usage


@PLACES
@SHAPES
def test_of_arguments_and_results(runtime: AgentRuntime, model: Stage, place: Any, turns: list[int]) -> None:
    count, judges = guarded(model, passes)
    played = model.play(counting(turns))
    agent = Agent(f"sums_{place}_{len(turns)}_{turns[0]}", model=played, tools=[count], model_place=place)
    handle = runtime.start(agent, "How many?")

    result = handle.result(60)
    assert result.usage == check_sums(handle, model, played, *judges)
    assert [len(model.requests(judge)) for judge in judges] == [sum(turns)] * 2
    by_model = handle.usage_by_model()
    assert [by_model[judge].prompt_tokens > by_model[played].prompt_tokens / 10 for judge in judges] == [True, True]


@PLACES
@SHAPES
def test_of_calls_that_a_person_is_asked_about(
    runtime: AgentRuntime, model: Stage, place: Any, turns: list[int]
) -> None:
    refuses = {"before": {"on_fail": "human"}}
    count, judges = guarded(model, lambda request: ruling("number" not in request.messages[-1].text), **refuses)
    played = model.play(counting(turns[:2]))
    agent = Agent(f"sums_asked_{place}_{len(turns)}_{turns[0]}", model=played, tools=[count], model_place=place)
    handle = runtime.start(agent, "How many?")
    for many in turns[:2]:
        wait_until(lambda many=many: len(handle.requests()) == many, "the requests", timeout=60)
        first, *others = handle.requests()
        runtime.reject(first.id, "no")
        for each in others:
            runtime.approve(each.id)

    result = handle.result(60)
    assert result.usage == check_sums(handle, model, played, *judges)


@PLACES
def test_of_tries_that_failed(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    """One gave no ruling; of another the tool raised after it."""
    replies = iter([say("hm"), ruling(True), ruling(True), ruling(True), say("hm"), say("hm"), say("hm")])
    judge = model.play(lambda _: next(replies))
    raised: list[int] = []

    @tool(guardrails=[LLMGuardrail(judge, LONG, position="input")], retry=Retry(3, delay=0))
    def count(number: int) -> str:
        """Count whales."""
        if not raised:
            raised.append(number)
            raise RuntimeError("none seen")
        return f"{number} whales"

    played = model.play(counting([1, 1, 1]))
    agent = Agent(f"sums_tries_{place}", model=played, tools=[count], model_place=place)
    handle = runtime.start(agent, "How many?")

    result = handle.result(60)
    assert [each.error is None for each in result.tool_calls] == [True, True, False]
    assert result.usage == check_sums(handle, model, played, judge)
    assert [event.type for event in handle.stream() if event.usage and event.type.startswith("tool_r")] == [
        *["tool_retry"] * 4,
        "tool_result",
    ]


@PLACES
@pytest.mark.parametrize("many", [1, 2])
def test_of_a_run_that_ends_by_it(runtime: AgentRuntime, model: Stage, place: Any, many: int) -> None:
    stops = {"after": {"on_fail": "raise"}}
    count, judges = guarded(model, lambda request: ruling("whales" not in request.messages[-1].text), **stops)
    played = model.play(counting([many]))
    agent = Agent(f"sums_ended_{place}_{many}", model=played, tools=[count], model_place=place)
    handle = runtime.start(agent, "How many?")

    with pytest.raises(GuardrailError, match="after refuses: no"):
        handle.result(60)
    usage = check_sums(handle, model, played, *judges)
    left = runtime.client.workflow(handle.execution_id, tasks=False).output["usage"]
    assert (left["prompt_tokens"], left["completion_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.parametrize("many", [1, 2])
def test_it_counts_for_the_budget(runtime: AgentRuntime, model: Stage, many: int) -> None:
    count, judges = guarded(model, passes)
    played = model.play(counting([many]))
    budget = Budget(tokens=2_000)
    agent = Agent(f"sums_budget_{many}", model=played, tools=[count], model_place="worker", budget=budget)
    handle = runtime.start(agent, "How many?")

    wait_until(lambda: len(handle.requests()) == 1, "the request", timeout=60)
    used = handle.get_status().usage
    assert used.prompt_tokens == sum(request.tokens for each in (played, *judges) for request in model.requests(each))
    assert handle.requests()[0].args["spent"] == {"tokens": used.total_tokens}
    assert len(model.requests(played)) == 1, "the model's call alone is far below"
    handle.finish()
    assert handle.result(60).finish_reason == "budget"
    check_sums(handle, model, played, *judges)


def test_it_counts_for_who_called_the_agent(runtime: AgentRuntime, model: Stage) -> None:
    count, judges = guarded(model, passes)
    below, above = model.play(counting([2])), model.play([call("counter", request="How many?"), say("Many.")])
    counter = Agent("counter", model=below, tools=[count], model_place="worker", description="Counts.")
    handle = runtime.start(Agent("sums_above", model=above, tools=[agent_tool(counter)], model_place="worker"), "Go.")

    result = handle.result(60)
    assert result.usage == check_sums(handle, model, above, below, *judges)
    assert handle.usage_by_agent()["sums_above"].prompt_tokens == sum(each.tokens for each in model.requests(above))
