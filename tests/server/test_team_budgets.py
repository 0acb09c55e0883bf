"""A team's budget on the real server: its members use it up together, and the one at work asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Budget,
    Conflict,
    DefinitionError,
    ExecutionFailed,
    ModelSettings,
    Price,
    Request,
    Team,
    agent_tool,
    compile_agent,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

Member = Callable[..., Agent[Any]]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


@pytest.fixture
def member(model: Stage) -> Member:
    """A member that looks so often, and answers then, or where no tools are offered any more."""

    def made(name: str, looks: int = 0, **options: Any) -> Agent[Any]:
        def reply(request: ModelRequest) -> Reply:
            if request.turn < looks and request.body.get("tool_choice") != "none":
                return call("look", number=request.turn)
            return say(f"{name} saw {request.turn}.")

        played = model.play(options.pop("reply", reply))
        settings = ModelSettings(base_url=model.server.openai_url, prices={played: Price(input=1, output=1)})
        given = {"tools": [look] if looks else [], "description": f"Is {name}.", **options}
        return Agent(name, model=played, model_place="worker", model_settings=settings, **given)

    return made


def paused(handle: AgentHandle[Any], *before: str) -> Request:
    def asked() -> list[Request]:
        return [each for each in handle.requests() if each.id not in before]

    wait_until(lambda: len(asked()) == 1, "the request", timeout=60)
    return asked()[0]


def tokens(model: Stage, *agents: Agent[Any]) -> int:
    asked = [request for each in agents for request in model.requests(each.model)]
    return sum(request.tokens for request in asked)


# ---- one after the other -------------------------------------------------------------------------------


def test_the_second_of_three_uses_it_up_says_so_and_goes_on(
    runtime: AgentRuntime, model: Stage, member: Member, conductor_url: str
) -> None:
    ann, bob, cid = member("tb_ann", 2), member("tb_bob", 3), member("tb_cid", 1)
    team = Team("tb_sequence", [ann, bob, cid], budget=Budget(turns=5, calls=100, tokens=10**6, cost=1.0))
    handle = runtime.start(team, "Look around.")
    request = paused(handle)

    assert (request.kind, request.agent, request.step, request.args["over"]) == ("budget", "tb_bob", 3, ["turns"])
    assert [len(model.requests(each.model)) for each in (ann, bob, cid)] == [3, 2, 0]
    assert {name: request.args["spent"][name] for name in ("turns", "calls")} == {"turns": 5, "calls": 4}
    so_far = handle.get_status().usage
    assert request.args["spent"]["tokens"] == so_far.prompt_tokens + so_far.completion_tokens
    assert request.args["spent"]["cost"] == pytest.approx(request.args["spent"]["tokens"] / 10**6)
    status = handle.get_status()
    assert status.is_waiting
    assert status.waits[0].text.startswith("The budget is used up: 5 of 5 turns: a person decides how it goes on")
    assert request.id in {each.id for each in runtime.requests()}
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert "The budget is used up: 5 of 5 turns" in why

    handle.extend(turns=2, by="ann")
    again = paused(handle, request.id)
    assert (again.agent, again.step) == ("tb_cid", 1)
    assert (again.args["spent"]["turns"], again.args["limits"]["turns"], again.args["spent"]["calls"]) == (7, 7, 5)
    handle.extend(again.id, turns=100, tokens=5)
    result = handle.result(timeout=60)

    assert (result.output, result.finish_reason, result.steps) == ("tb_cid saw 1.", "stop", 9)
    assert list(result.sub_results) == ["tb_ann", "tb_bob", "tb_cid"]
    assert [len(model.requests(each.model)) for each in (ann, bob, cid)] == [3, 4, 2]
    told = [(event.type, event.path, event.step) for event in handle.stream() if event.type in ("waiting", "decision")]
    assert told == [
        *((kind, ("tb_bob",), 3) for kind in ("waiting", "decision")),
        *((kind, ("tb_cid",), 1) for kind in ("waiting", "decision")),
    ]


def test_those_after_a_last_answer_give_theirs(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    ann, bob, cid = member("tb_f_ann", 2), member("tb_f_bob", 9), member("tb_f_cid", 9)
    handle = runtime.start(Team("tb_finish", [ann, bob, cid], budget=Budget(turns=5)), "Look around.")
    paused(handle)
    handle.finish(by="ann")
    result = handle.result(timeout=60)

    assert (result.output, result.finish_reason, result.steps) == ("tb_f_cid saw 0.", "budget", 7)
    assert [len(model.requests(each.model)) for each in (ann, bob, cid)] == [3, 3, 1]
    assert result.sub_results["tb_f_bob"] == "tb_f_bob saw 2."


def test_the_end(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    ann, bob = member("tb_e_ann"), member("tb_e_bob", 9)
    handle = runtime.start(Team("tb_end", [ann, bob], budget=Budget(calls=2)), "Look around.")
    request = paused(handle)
    handle.reject("Too dear.", by="ann")
    with pytest.raises(ExecutionFailed, match="The budget of the team was used up when its member tb_e_bob") as caught:
        handle.result(timeout=60)

    assert caught.value.result is not None
    assert (request.agent, caught.value.result.steps) == ("tb_e_bob", 3)
    assert caught.value.result.finish_reason == "over_budget"
    with pytest.raises(Conflict, match="ended as its budget was used up"):
        handle.retry()
    assert len(model.requests(bob.model)) == 2
