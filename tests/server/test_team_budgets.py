"""A team's budget on the real server: its members use it up together, and the one at work asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Budget,
    Conflict,
    ExecutionFailed,
    Team,
    agent_tool,
)
from agentspan.cli import main
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage
from tests.server.members import Member, member_maker, paused


@pytest.fixture
def member(model: Stage) -> Member:
    return member_maker(model)


def prompt_tokens(model: Stage, *agents: Agent[Any]) -> int:
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


def test_the_end(runtime: AgentRuntime, model: Stage, member: Member, conductor_url: str) -> None:
    ann, bob = member("tb_e_ann"), member("tb_e_bob", 9)
    handle = runtime.start(Team("tb_end", [ann, bob], budget=Budget(calls=2)), "Look around.")
    request = paused(handle)
    handle.reject("Too dear.", by="ann")
    with pytest.raises(ExecutionFailed, match="The budget of the team was used up when its member tb_e_bob") as caught:
        handle.result(timeout=60)

    assert caught.value.result is not None
    assert (request.agent, caught.value.result.finish_reason) == ("tb_e_bob", "over_budget")
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert "with a larger budget" in why
    with pytest.raises(Conflict, match="ended as its budget was used up"):
        handle.retry()
    assert len(model.requests(bob.model)) == 2


# ---- chosen, in turns, and teams in teams ----------------------------------------------------------------


def test_who_chooses_counts(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    desk, bob = member("tb_desk", reply=lambda request: say("tb_r_bob")), member("tb_r_bob", 9)
    team = Team("tb_router", [member("tb_r_ann"), bob], strategy="router", router=desk, budget=Budget(turns=3))
    handle = runtime.start(team, "Look around.")
    request = paused(handle)
    assert (request.agent, request.step, len(model.requests(bob.model))) == ("tb_r_bob", 3, 2)
    handle.finish()
    result = handle.result(timeout=60)

    assert (result.output, result.finish_reason) == ("tb_r_bob saw 2.", "budget")


@pytest.mark.parametrize("strategy", ["round_robin", "random"])
def test_members_that_take_turns_stop_after_a_last_answer(
    runtime: AgentRuntime, model: Stage, member: Member, strategy: Any
) -> None:
    ann, bob = (member(f"tb_{strategy}_{name}", 1) for name in ("ann", "bob"))
    team = Team(f"tb_{strategy}", [ann, bob], strategy=strategy, max_turns=9, budget=Budget(turns=5, time=600))
    handle = runtime.start(team, "Look around.")
    first = paused(handle)
    assert (first.args["spent"]["turns"], first.step) == (5, 2)
    handle.extend(turns=4)
    second = paused(handle, first.id)
    assert (second.args["spent"]["turns"], second.args["limits"]["turns"], second.step) == (9, 9, 2)
    handle.finish()
    result = handle.result(timeout=60)

    assert (result.finish_reason, result.steps) == ("budget", 10)
    assert len(model.requests(ann.model)) + len(model.requests(bob.model)) == 10


def test_a_person_chooses(runtime: AgentRuntime, member: Member) -> None:
    ann, bob = member("tb_m_ann"), member("tb_m_bob")
    team = Team("tb_manual", [ann, bob], strategy="manual", max_turns=3, budget=Budget(turns=1))
    handle = runtime.start(team, "Look around.")
    handle.respond("tb_m_ann", paused(handle).id)
    wait_until(lambda: any(request.step == 2 for request in handle.requests()), "the next choice", timeout=60)
    handle.respond("tb_m_bob", paused(handle).id)
    wait_until(lambda: any(request.kind == "budget" for request in handle.requests()), "the budget", timeout=60)
    assert paused(handle).agent == "tb_m_bob"
    handle.finish()

    assert handle.result(timeout=60).output == "tb_m_bob saw 0."


def test_a_team_in_a_team_and_a_swarm_have_what_is_left(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    inner = Team("tb_inner", [member("tb_n_ann", 1), member("tb_n_bob", 1)], strategy="round_robin", max_turns=2)
    swarm = Team("tb_swarm", [member("tb_n_cid", 4), member("tb_n_eve")], strategy="swarm")
    last = member("tb_n_fay")
    handle = runtime.start(Team("tb_outer", [inner, swarm, last], budget=Budget(turns=3, calls=4)), "Look around.")
    first = paused(handle)
    assert (first.agent, first.args["spent"], first.step) == ("tb_n_bob", {"turns": 3, "calls": 2}, 2)
    handle.extend(turns=100)
    second = paused(handle, first.id)
    assert (second.agent, second.args["spent"]) == ("tb_swarm", {"turns": 6, "calls": 4})
    handle.extend(calls=2)
    third = paused(handle, first.id, second.id)
    assert (third.agent, third.args["spent"], third.args["limits"]) == (
        "tb_swarm",
        {"turns": 8, "calls": 6},
        {"turns": 103, "calls": 6},
    )
    handle.reject()
    with pytest.raises(ExecutionFailed, match="The budget of the team was used up"):
        handle.result(timeout=60)
    with pytest.raises(Conflict, match="ended as its budget was used up"):
        handle.retry()
    assert not model.requests(last.model)


class Seen(BaseModel):
    things: int


def test_called_agents_and_answers_sent_back_count(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    asked = member("tb_c_asked")
    caller = member(
        "tb_c_caller",
        tools=[agent_tool(asked)],
        reply=lambda request: say("Asked.") if request.turn else call("tb_c_asked", request="Look."),
    )
    typed = member("tb_c_typed", output_type=Seen, reply=[say("odd"), say(json.dumps({"things": 2}))])
    last = member("tb_c_last", output_type=Seen, reply=[say("odd"), say(json.dumps({"things": 3}))])
    team = Team("tb_counts", [caller, typed, last], budget=Budget(turns=5, tokens=10**6))
    handle = runtime.start(team, "Look around.")
    request = paused(handle)

    assert (request.agent, request.step, request.args["spent"]["turns"]) == ("tb_c_last", 2, 5)
    used = handle.get_status().usage
    assert used.prompt_tokens == prompt_tokens(model, asked, caller, typed, last)
    assert request.args["spent"]["tokens"] == used.prompt_tokens + used.completion_tokens
    handle.finish()
    result = handle.result(timeout=60)
    assert (result.output, result.finish_reason, result.steps) == (Seen(things=3), "budget", 6)


def test_a_caller_of_a_team_that_was_ended_so_cannot_go_on(runtime: AgentRuntime, member: Member) -> None:
    team = Team("tb_called", [member("tb_z_ann"), member("tb_z_bob", 9)], budget=Budget(turns=2), description="Looks.")
    caller = member("tb_caller", tools=[agent_tool(team)], reply=[call("tb_called", request="Look.")])
    handle = runtime.start(caller, "Look around.")
    paused(handle)
    handle.reject()
    with pytest.raises(ExecutionFailed, match="The budget of the team was used up"):
        handle.result(timeout=60)

    with pytest.raises(Conflict, match="tb_z_bob in it ended by itself: The budget of the team"):
        handle.retry()
    assert not handle.get_status().is_running


def test_a_team_whose_member_ran_out_of_turns_cannot_go_on(runtime: AgentRuntime, member: Member) -> None:
    team = Team("tb_short", [member("tb_s_ann", 9, max_turns=2), member("tb_s_bob")])
    handle = runtime.start(team, "Look around.")
    with pytest.raises(ExecutionFailed, match="used all of its 2 turns"):
        handle.result(timeout=60)

    with pytest.raises(Conflict, match="tb_s_ann in it ended by itself: The agent tb_s_ann used all of its 2 turns"):
        handle.retry()


def test_an_agent_begun_by_itself_has_no_limits_of_a_team(runtime: AgentRuntime, member: Member) -> None:
    team = Team("tb_with_limits", [member("tb_alone", 4), member("tb_beside")], budget=Budget(turns=1))
    runtime.serve(team, blocking=False)

    assert runtime.start("tb_alone", "Look around.").result(timeout=60).steps == 5
