"""The budget of members beside each other on the real server: one request for all, at most a turn of each above."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Budget,
    Conflict,
    ExecutionFailed,
    Request,
    Team,
    agent_tool,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, fail, say, wait_until
from agentspan.testing.plugin import Stage
from tests.server.members import Member, look, member_maker, paused


@pytest.fixture
def member(model: Stage) -> Member:
    return member_maker(model)


def beside(name: str, *members: Agent[Any], **options: Any) -> Team:
    return Team(name, members, strategy="parallel", **options)


def all_stand(handle: AgentHandle[Any], request: Request) -> None:
    """Wait until each member that is at work waits for the request, or asks by it."""

    def waits_for() -> list[str | None]:
        return [None if reason.request is None else reason.request.id for reason in handle.get_status().waits]

    wait_until(lambda: waits_for() == [request.id], "all to wait for it", timeout=60)


def asked_of(model: Stage, *agents: Agent[Any]) -> int:
    return sum(len(model.requests(each.model)) for each in agents)


def requests_in(handle: AgentHandle[Any]) -> int:
    """How many requests about the budget there were."""
    return len({event.request_id for event in handle.stream() if event.type == "waiting" and event.request_id})


# ---- one request for all -------------------------------------------------------------------------------


def test_it_is_used_up_by_all_and_one_asks(
    runtime: AgentRuntime, model: Stage, member: Member, conductor_url: str
) -> None:
    members = [member(f"pb_{name}", 9) for name in ("ann", "bob", "cid")]
    handle = runtime.start(beside("pb_team", *members, budget=Budget(turns=6, calls=500, cost=1.0)), "Look around.")
    request = paused(handle)
    all_stand(handle, request)

    assert (request.kind, request.args["over"], request.args["limits"]["turns"]) == ("budget", ["turns"], 6)
    used = asked_of(model, *members)
    assert 6 <= used <= 6 + 2  # each look that was passed saw 5 of them at most: two more turns were in flight
    status = handle.get_status()
    assert status.is_waiting
    told = [reason.text for reason in status.waits if reason.kind == "person"]
    assert len(told) == 1
    assert told[0].startswith(f"The budget is used up: {request.args['spent']['turns']} of 6 turns")
    assert request.id in {each.id for each in runtime.requests()}
    assert [each.id for each in handle.requests()] == [request.id]
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert why.count("The budget is used up") == 1

    handle.extend(turns=4, by="ann")
    again = paused(handle, request.id)
    all_stand(handle, again)
    assert again.args["limits"]["turns"] == 10
    assert 10 <= asked_of(model, *members) <= 10 + 2
    with pytest.raises(Conflict, match="is extended already, by ann"):
        handle.extend(request.id, turns=4)
    handle.extend(turns=100)
    result = handle.result(timeout=60)

    assert (result.finish_reason, result.steps) == ("stop", 30)
    assert asked_of(model, *members) == 30
    assert list(result.sub_results) == ["pb_ann", "pb_bob", "pb_cid"]
    told_of = [(event.type, event.request_id) for event in handle.stream() if event.type in ("waiting", "decision")]
    assert told_of == [(kind, each.id) for each in (request, again) for kind in ("waiting", "decision")]
    assert again.args["spent"]["calls"] <= result.steps


@pytest.mark.parametrize("many", range(5))
def test_all_use_it_up_in_the_same_moment_and_one_asks(
    runtime: AgentRuntime, model: Stage, member: Member, many: int
) -> None:
    together = threading.Barrier(4)

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            together.wait(30)
        return call("look", number=request.turn) if request.turn < 3 else say("Done.")

    members = [member(f"pb_m{many}_{name}", 1, reply=reply) for name in ("ann", "bob", "cid", "eve")]
    handle = runtime.start(beside(f"pb_moment_{many}", *members, budget=Budget(calls=1)), "Look around.")
    request = paused(handle)
    all_stand(handle, request)
    assert (len(handle.requests()), asked_of(model, *members)) == (1, 4)
    handle.extend(calls=100)

    assert handle.result(timeout=60).steps == 16
    assert requests_in(handle) == 1


def test_who_reads_the_events_is_told_while_the_first_member_waits_for_the_second(
    runtime: AgentRuntime, member: Member
) -> None:
    may_go_on = threading.Event()

    @tool
    def rest() -> str:
        """Rest."""
        assert may_go_on.wait(60)
        return "rested"

    def rests(request: ModelRequest) -> Reply:
        return say("Done.") if request.turn else call("rest")

    ann, bob = member("pb_s_ann", reply=rests, tools=[rest]), member("pb_s_bob", 6)
    handle = runtime.start(beside("pb_stream", ann, bob, budget=Budget(turns=5)), "Look around.")
    request = paused(handle)
    assert request.agent == "pb_s_bob"
    may_go_on.set()
    seen = []
    for event in handle.stream():
        seen.append((event.type, event.path))
        if event.type == "waiting":
            handle.extend(turns=100, by="ann")

    assert seen[-1] == ("done", ())
    assert [each for each in seen if each[0] in ("budget", "waiting", "decision")] == [
        ("waiting", ("pb_s_ann",)),
        ("decision", ("pb_s_ann",)),
        ("budget", ("pb_s_bob",)),
    ]
    assert [(event.type, event.path) for event in handle.stream()] == seen


def test_somebody_is_told_by_the_member_that_asks(runtime: AgentRuntime, member: Member) -> None:
    told: list[Request] = []
    members = [member(f"pb_o_{name}", 9, on_request=told.append) for name in ("ann", "bob")]
    handle = runtime.start(beside("pb_told", *members, budget=Budget(turns=4)), "Look around.")
    request = paused(handle)
    all_stand(handle, request)
    wait_until(lambda: told, "somebody to be told")
    assert [(each.id, each.agent) for each in told] == [(request.id, request.agent)]
    handle.cancel()


def test_that_nobody_serves_the_looks_is_said(runtime: AgentRuntime, member: Member) -> None:
    members = [member(f"pb_u_{name}", 1) for name in ("ann", "bob")]
    team = beside("pb_unserved", *members, budget=Budget(turns=40))
    handle = runtime.start(team, "Look around.", serve=False)
    wait_until(lambda: len(handle.get_status().missing_workers) == 2, "missing workers", timeout=60)

    missing = {worker.task_name for worker in handle.get_status().missing_workers}
    assert missing == {"pb_u_ann.run.budget", "pb_u_bob.run.budget"}
    runtime.serve(team, blocking=False)
    assert handle.result(timeout=60).steps == 4
    waited = [(event.type, event.path) for event in handle.stream() if event.type in ("waiting", "resumed")]
    assert waited == [(kind, (each.name,)) for each in members for kind in ("waiting", "resumed")]


# ---- what is decided -----------------------------------------------------------------------------------


def test_a_last_answer_of_all(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    members = [member(f"pb_f_{name}", 9) for name in ("ann", "bob")]
    whole = member("pb_f_whole", 9)
    team = beside("pb_finish", *members, synthesis=whole, budget=Budget(turns=4))
    handle = runtime.start(team, "Look around.")
    all_stand(handle, paused(handle))
    before = asked_of(model, *members)
    handle.finish(by="ann")
    result = handle.result(timeout=60)

    assert (result.output, result.finish_reason, result.steps) == ("pb_f_whole saw 0.", "budget", before + 3)
    assert requests_in(handle) == 1


def test_the_end(runtime: AgentRuntime, model: Stage, member: Member, conductor_url: str) -> None:
    members = [member(f"pb_e_{name}", 9) for name in ("ann", "bob")]
    handle = runtime.start(beside("pb_end", *members, budget=Budget(calls=2)), "Look around.")
    all_stand(handle, paused(handle))
    before = asked_of(model, *members)
    handle.reject("Too dear.", by="ann")
    with pytest.raises(ExecutionFailed, match="The budget of the team was used up") as caught:
        handle.result(timeout=60)

    assert caught.value.result is not None
    assert (caught.value.result.finish_reason, caught.value.result.steps) == ("over_budget", before)
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert "with a larger budget" in why
    with pytest.raises(Conflict, match="ended as its budget was used up"):
        handle.retry()
    assert asked_of(model, *members) == before


@pytest.mark.parametrize("default", ["finish", "cancel"])
def test_nobody_decides(runtime: AgentRuntime, member: Member, default: Any) -> None:
    members = [member(f"pb_d_{default}_{name}", 9) for name in ("ann", "bob")]
    team = beside(f"pb_deadline_{default}", *members, budget=Budget(turns=3, deadline=1, default=default))
    handle = runtime.start(team, "Look around.")
    if default == "finish":
        assert handle.result(timeout=60).finish_reason == "budget"
    else:
        with pytest.raises(ExecutionFailed, match="The budget of the team was used up"):
            handle.result(timeout=60)


def test_the_run_is_cancelled_while_it_waits_and_goes_on_when_it_is_retried(
    runtime: AgentRuntime, model: Stage, member: Member
) -> None:
    members = [member(f"pb_c_{name}", 4) for name in ("ann", "bob", "cid")]
    handle = runtime.start(beside("pb_cancel", *members, budget=Budget(turns=5)), "Look around.")
    all_stand(handle, paused(handle))
    handle.cancel("Later.")
    wait_until(lambda: handle.get_status().is_complete, "the end")
    handle.retry()
    again = paused(handle)
    all_stand(handle, again)  # in no other request, though the engine begins segments of those beside each other anew
    assert again.args["limits"] == {"turns": 5}
    handle.extend(turns=100)

    assert handle.result(timeout=60).steps == 15
    assert asked_of(model, *members) == 15


# ---- in other teams, and after failures -------------------------------------------------------------------


def test_members_beside_each_other_within_a_sequence(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    first, last = member("pb_n_first", 1), member("pb_n_last", 1)
    swarm = Team("pb_n_swarm", [member("pb_n_cid", 3), member("pb_n_eve")], strategy="swarm")
    script = [call("pb_n_asked", request="Look."), call("look", number=1), say("Asked.")]
    caller = member("pb_n_ann", tools=[look, agent_tool(member("pb_n_asked"))], reply=script)
    inner = beside("pb_n_inner", caller, swarm)
    budget = Budget(turns=9, cost=1.0, tokens=10**6, calls=100, time=600)
    handle = runtime.start(Team("pb_n_outer", [first, inner, last], budget=budget), "Look around.")
    request = paused(handle)

    assert (request.agent, request.step, request.args["over"]) == ("pb_n_last", 1, ["turns"])
    spent, used = request.args["spent"], handle.get_status().usage
    assert (spent["turns"], spent["calls"]) == (2 + 3 + 4, 1 + 2 + 3)
    assert spent["tokens"] == used.prompt_tokens + used.completion_tokens
    assert spent["cost"] == pytest.approx(used.cost)
    handle.extend(turns=1)
    again = paused(handle, request.id)
    assert (again.step, again.args["spent"]["turns"], again.args["limits"]["turns"]) == (2, 10, 10)
    handle.extend(turns=100)
    result = handle.result(timeout=60)
    assert (result.output, result.steps) == ("pb_n_last saw 1.", 11)


def test_the_budget_is_used_up_before_they_begin(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    first = member("pb_b_first", 1)
    members = [member(f"pb_b_{name}", 1) for name in ("ann", "bob", "cid")]
    team = Team("pb_before", [first, beside("pb_b_inner", *members)], budget=Budget(turns=2))
    handle = runtime.start(team, "Look around.")
    request = paused(handle)
    all_stand(handle, request)
    assert (request.step, request.args["spent"], asked_of(model, *members)) == (1, {"turns": 2}, 0)
    handle.extend(turns=100)

    assert handle.result(timeout=60).steps == 8
    assert requests_in(handle) == 1


def test_a_team_that_failed_goes_on_with_its_sums(runtime: AgentRuntime, model: Stage, member: Member) -> None:
    broken = [True]

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 1 and broken[0]:
            return fail(401, "no such key")
        return call("look", number=request.turn) if request.turn < 3 else say("Done.")

    ann, bob = member("pb_r_ann", 3), member("pb_r_bob", 1, reply=reply)
    handle = runtime.start(beside("pb_retry", ann, bob, budget=Budget(calls=4)), "Look around.")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    broken[0] = False
    handle.retry()
    request = paused(handle)
    assert request.args["over"] == ["calls"]
    handle.extend(calls=100)

    assert handle.result(timeout=60).steps == 8
    assert len([event for event in handle.stream() if event.type == "tool_result"]) == 6


def test_a_member_begun_by_itself_has_no_limits_of_the_team(runtime: AgentRuntime, member: Member) -> None:
    runtime.serve(
        beside("pb_limits", member("pb_alone", 3), member("pb_other"), budget=Budget(turns=1)), blocking=False
    )

    assert runtime.start("pb_alone", "Look around.").result(timeout=60).steps == 4


def test_a_nearly_used_budget_is_told_once(runtime: AgentRuntime, member: Member) -> None:
    members = [member(f"pb_w_{name}", 3) for name in ("ann", "bob", "cid")]
    handle = runtime.start(beside("pb_warn", *members, budget=Budget(turns=14, warn_at=0.5)), "Look around.")

    assert handle.result(timeout=60).steps == 12
    assert len([event for event in handle.stream() if event.type == "budget"]) == 1
