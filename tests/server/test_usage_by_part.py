"""What a run used is told by model and by agent, over all that works in it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    ExecutionFailed,
    LLMGuardrail,
    Team,
    Usage,
    agent_tool,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.usefixtures("scripted_openai")

PLACES = pytest.mark.parametrize("place", ["server", "worker"])


@tool
def look(topic: str) -> str:
    """Look something up."""
    return f"all about {topic}"


def asked(model: Stage, *played: str) -> int:
    return sum(request.tokens for each in played for request in model.requests(each))


def check_sums(handle: AgentHandle[Any]) -> dict[str, Usage]:
    """By whatever it is told, it is the run's; by model."""
    whole = handle.result(60).usage
    by_model, by_agent = handle.usage_by_model(), handle.usage_by_agent()
    for found in (by_model, by_agent):
        assert sum(each.prompt_tokens for each in found.values()) == whole.prompt_tokens
        assert sum(each.completion_tokens for each in found.values()) == whole.completion_tokens
    return by_model


@PLACES
def test_of_agents_that_are_called(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    deepest = model.play([say("It is green.")] * 9)
    below = model.play(lambda request: say("Tea.") if request.turn else call("expert", request="What is tea?"))
    above = model.play([calls(call("researcher", request="Tea?"), call("researcher", request="Ink?")), say("Done.")])
    expert = Agent("expert", model=deepest, description="Knows.", model_place=place)
    researcher = Agent(
        "researcher", model=below, tools=[agent_tool(expert)], description="Looks things up.", model_place=place
    )
    boss = Agent("boss", model=above, tools=[agent_tool(researcher), look], model_place=place)

    handle = runtime.start(boss, "Tea?")
    by_model = check_sums(handle)

    assert {name: used.prompt_tokens for name, used in by_model.items()} == {
        played: asked(model, played) for played in (above, below, deepest)
    }
    by_agent = handle.usage_by_agent()
    assert list(by_agent) == ["boss", "researcher", "expert"]
    assert by_agent["researcher"] == by_model[below]


@PLACES
def test_of_members_of_a_team_and_who_sums_up_or_chooses(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    played = {name: model.play([say(name)] * 3) for name in ("law", "code", "sums")}
    played["law"] = model.play([call("look", topic="tea"), say("law")])
    made = {
        name: Agent(name, model=each, description=name, tools=[look] if name == "law" else [], model_place=place)
        for name, each in played.items()
    }
    review = Team("review", [made["law"], made["code"]], strategy="parallel", synthesis=made["sums"])
    handle = runtime.start(review, "Look.")
    assert set(check_sums(handle)) == set(played.values())
    assert set(handle.usage_by_agent()) == set(played)

    chooses = model.play([say("code")])
    desk = Team("desk", [made["law"], made["code"]], strategy="router", model=chooses)
    handle = runtime.start(desk, "Who?")
    assert set(check_sums(handle)) == {chooses, played["code"]}
    assert set(handle.usage_by_agent()) == {"desk_router", "code"}


def test_of_agents_that_took_over(runtime: AgentRuntime, model: Stage) -> None:
    first = model.play([call("transfer_to_billing"), say("unused")])
    second = model.play([call("look", topic="price"), say("Four.")], name="scripted-billing")
    billing = Agent("billing", model=second, description="Knows prices.", tools=[look], model_place="worker")
    host = Agent("host", model=first, handoffs=[billing], model_place="worker")

    handle = runtime.start(host, "What is it?")
    assert set(check_sums(handle)) == {first, second}
    assert set(handle.usage_by_agent()) == {"host", "billing"}


@PLACES
@pytest.mark.parametrize("asks_first", [False, True])
def test_of_an_agent_that_is_called_and_at_work_or_has_failed(
    runtime: AgentRuntime, model: Stage, place: Any, asks_first: bool
) -> None:
    """What it has used is in its caller's sums before it has answered."""
    goes_on = threading.Event()

    def breaks(request: ModelRequest) -> Reply:
        if not request.turn:
            return call("look", topic="tea")
        goes_on.wait(60)
        return fail(401, "no such key")

    name = f"broken_{place}_{asks_first}"
    below = Agent(f"{name}_below", model=model.play(breaks), tools=[look], description="Knows.", model_place=place)
    above = model.play([call(below.name, request="Tea?"), say("unused")])
    asked_for = agent_tool(below, approval=asks_first or None)
    handle = runtime.start(Agent(name, model=above, tools=[asked_for], model_place=place), "Tea?")
    if asks_first:
        wait_until(lambda: len(handle.requests()) == 1, "the request", timeout=60)
        handle.approve()
    wait_until(lambda: len(model.requests(below.model)) == 2, "the second turn", timeout=60)
    used = handle.get_status().usage
    assert used.prompt_tokens == model.requests(above)[0].tokens + model.requests(below.model)[0].tokens
    goes_on.set()

    with pytest.raises(ExecutionFailed, match="no such key") as raised:
        handle.result(60)
    result = raised.value.result
    assert result is not None
    assert result.usage == handle.get_status().usage == used
    by_agent = handle.usage_by_agent()
    assert sum(each.prompt_tokens for each in by_agent.values()) == used.prompt_tokens
    assert sum(event.usage.prompt_tokens for event in handle.stream() if event.usage) == used.prompt_tokens


@PLACES
def test_what_guardrails_ask_is_their_models(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    judges = model.play([say(json.dumps({"passed": True, "message": ""}))] * 9)
    asks = {"model": judges, "policy": "Be polite."}
    guards = [LLMGuardrail(**asks, position="input", name="entry"), LLMGuardrail(**asks)]
    answers = model.play([call("look", topic="tea"), say("Tea.")])
    agent = Agent("guarded_part", model=answers, tools=[look], guardrails=guards, model_place=place)

    handle = runtime.start(agent, "Tea?")
    by_model = check_sums(handle)

    assert by_model[judges].prompt_tokens == asked(model, judges) > 0
    assert by_model[answers].prompt_tokens == asked(model, answers)
    assert list(handle.usage_by_agent()) == ["guarded_part"]
