"""Instructions that a function gives: with the model's call in a worker, or in a task before the server's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ExecutionFailed,
    ModelSettings,
    Retry,
    RunContext,
    guardrail,
    tool,
)
from agentspan.agents import GuardrailResult as Result
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage

Make = Callable[..., Agent[Any]]
PLACES = ["server", "worker"]
QUICK = Retry(3, delay=0)


class Seen(BaseModel):
    things: int


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


@pytest.fixture
def make(model: Stage) -> Make:
    def made(name: str, script: Any, place: str = "worker", **options: Any) -> Agent[Any]:
        settings = ModelSettings(base_url=model.server.openai_url) if place == "worker" else ModelSettings()
        given = {"model": model.play(script), "model_settings": settings, "model_place": place, **options}
        return Agent(f"{name}_{place}", **given)

    return made


def looks(times: int) -> Callable[[ModelRequest], Reply]:
    return lambda request: call("look", number=request.turn) if request.turn < times else say("done")


@pytest.fixture
def asked() -> list[RunContext]:
    return []


@pytest.mark.parametrize("place", PLACES)
def test_once_a_run(runtime: AgentRuntime, model: Stage, make: Make, asked: list[RunContext], place: str) -> None:
    def told(context: RunContext) -> str:
        asked.append(context)
        return f"Be kind to {context.context['name']} in ${{workflow.input.prompt}}, {len(asked)}."

    agent = make("told_run", looks(10), place, tools=[look], instructions=told)
    handle = runtime.start(agent, "Look.", context={"name": "Ada"})

    assert handle.result(60).steps == 11
    (given,) = asked
    assert (given.agent, given.execution_id, given.prompt, given.step) == (
        agent.name,
        handle.execution_id,
        "Look.",
        1,
    )
    systems = {request.system for request in model.requests(agent.model)}
    assert systems == {"Be kind to Ada in ${workflow.input.prompt}, 1."}
    assert [event.type for event in handle.stream()].count("step") == 11


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_without_tools(runtime: AgentRuntime, model: Stage, make: Make, place: str) -> None:
    async def told() -> str:
        return "Count."

    agent = make("told_single", lambda _: say('{"things": 2}'), place, instructions=told, output_type=Seen)

    assert runtime.run(agent, "Look.", timeout=60).output == Seen(things=2)
    (request,) = model.requests(agent.model)
    assert request.system.startswith("Count.")
    assert ("things" in request.system) == (place == "server")


def test_each_turn(runtime: AgentRuntime, model: Stage, make: Make, asked: list[RunContext]) -> None:
    async def told(context: RunContext) -> str:
        asked.append(context)
        return f"This is turn {context.step}."

    agent = make("told_turn", looks(3), tools=[look], instructions=told, instructions_each="turn")
    runtime.run(agent, "Look.", timeout=60)

    assert [request.system for request in model.requests(agent.model)] == [
        f"This is turn {step}." for step in (1, 2, 3, 4)
    ]
    assert [each.step for each in asked] == [1, 2, 3, 4]


@pytest.mark.parametrize("place", PLACES)
def test_what_it_raises_is_tried_again(
    runtime: AgentRuntime, model: Stage, make: Make, asked: list[RunContext], place: str
) -> None:
    def told(context: RunContext) -> str:
        asked.append(context)
        if len(asked) == 1:
            raise ConnectionError("no database")
        return "Go on."

    agent = make("told_again", looks(1), place, tools=[look], instructions=told, model_retry=QUICK)
    handle = runtime.start(agent, "Look.")

    assert handle.result(60).output == "done"
    assert len(asked) == 2
    retried = [event for event in handle.stream() if event.type == "model_retry"]
    assert ["no database" in str(event.error) for event in retried] == [True]


@pytest.mark.parametrize("place", PLACES)
def test_it_gives_a_text(runtime: AgentRuntime, make: Make, place: str) -> None:
    agent = make("told_odd", looks(1), place, tools=[look], instructions=lambda _: 7)
    with pytest.raises(ExecutionFailed, match=f"instructions of the agent {agent.name} gave int, and no text"):
        runtime.run(agent, "Look.", timeout=60)


@pytest.mark.parametrize("place", PLACES)
def test_it_sees_the_prompt_as_guardrails_leave_it(runtime: AgentRuntime, model: Stage, make: Make, place: str) -> None:
    @guardrail(position="input", on_fail="fix")
    def no_shouting(prompt: str) -> Result:
        return Result(passed=prompt.islower(), fixed_output=prompt.lower())

    agent = make(
        "told_guarded",
        looks(1),
        place,
        tools=[look],
        guardrails=[no_shouting],
        instructions=lambda context: f"Asked: {context.prompt}",
    )
    runtime.run(agent, "LOOK.", timeout=60)

    assert {request.system for request in model.requests(agent.model)} == {"Asked: look."}
