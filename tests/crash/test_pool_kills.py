"""SIGKILL to workers and the server while members beside each other use a budget up: one asks, nothing counts twice."""

from __future__ import annotations

import dataclasses

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ModelSettings, Request, Team
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, kill, restart
from .ledger_agent import pool_members, pool_team

CALLS = 6
"""Calls of each member."""


def a_team(model: Stage) -> Team:
    """Members of which each works on numbers of its own."""

    def member(each: Agent[str], first: int) -> Agent[str]:
        def reply(request: ModelRequest) -> Reply:
            number = first + request.turn
            return say("done") if request.turn == CALLS else call("work", number=number, seconds=0.0)

        settings = ModelSettings(base_url=model.server.openai_url)
        return dataclasses.replace(each, model=model.play(reply), model_settings=settings)

    members = [member(each, place * CALLS) for place, each in enumerate(pool_members)]
    return Team(pool_team.name, members, strategy="parallel", budget=pool_team.budget)


def paused(handle: AgentHandle[str], *before: str) -> Request:
    def asked() -> list[Request]:
        return [each for each in handle.requests() if each.id not in before]

    wait_until(lambda: len(asked()) == 1, "the request", timeout=90)
    return asked()[0]


def requests_in(handle: AgentHandle[str]) -> list[str]:
    return [event.request_id for event in handle.stream() if event.type == "waiting" and event.request_id is not None]


def waits_for(handle: AgentHandle[str]) -> list[str | None]:
    """The requests that the run waits for; None for anything else."""
    return [None if reason.request is None else reason.request.id for reason in handle.get_status().waits]


def test_workers_are_killed_while_members_beside_each_other_wait(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    """While all of them wait, again and again: an extension counts once, and each call is made once."""
    ledger = dataclasses.replace(ledger, target="ledger_agent:pool_team")
    team = a_team(model)
    handle = runtime.start(team, "Work.", serve=False)
    known: list[str] = []
    with explained(runtime, handle.execution_id):
        for limit in (4, 8, 12):
            with ledger.worker() as worker:
                request = paused(handle, *known)
                wait_until(lambda request=request: waits_for(handle) == [request.id], "all to wait for it")
                worker.kill()
            assert request.args["limits"] == {"calls": limit}
            assert limit <= len(ledger.entries("end")) <= limit + len(team.agents) - 1
            known.append(request.id)
            handle.extend(request.id, calls=4 if limit < 12 else 100)
        with ledger.worker():
            result = handle.result(timeout=90)

    assert result.steps == len(team.agents) * (CALLS + 1)
    ledger.check_once_each(range(len(team.agents) * CALLS))
    assert requests_in(handle) == known
    assert sum(len(model.requests(each.model)) for each in team.agents) == result.steps


def test_workers_are_killed_as_soon_as_one_of_them_asks(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    """The others are in the middle of their turns, or look: each of those turns is made again, and none is new."""
    ledger = dataclasses.replace(ledger, target="ledger_agent:pool_team")
    team = a_team(model)
    handle = runtime.start(team, "Work.", serve=False)
    known: list[str] = []
    with explained(runtime, handle.execution_id):
        for limit in (4, 8):
            with ledger.worker() as worker:
                request = paused(handle, *known)
                worker.kill()
            known.append(request.id)
            assert request.args["limits"] == {"calls": limit}
            with ledger.worker():
                wait_until(lambda request=request: waits_for(handle) == [request.id], "all to wait for it", timeout=90)
            calls = {entry["key"] for entry in ledger.entries("begin")}
            assert limit <= len(calls) <= limit + len(team.agents) - 1
            handle.extend(request.id, calls=4 if limit < 8 else 100)
        with ledger.worker():
            result = handle.result(timeout=90)

    assert result.steps == len(team.agents) * (CALLS + 1)
    assert requests_in(handle) == known


@pytest.mark.timeout(400)
def test_the_server_is_killed_while_members_beside_each_other_wait(
    server: LocalServer, model: Stage, ledger: Ledger
) -> None:
    runtime = AgentRuntime(server.url)
    ledger = dataclasses.replace(ledger, target="ledger_agent:pool_team", url=server.url)
    team = a_team(model)
    handle = runtime.start(team, "Work.", serve=False)
    with ledger.worker(), explained(runtime, handle.execution_id):
        request = paused(handle)
        kill(server)
        restart(server)
        assert paused(handle).id == request.id
        handle.extend(calls=100)
        result = handle.result(timeout=120)

    assert result.steps == len(team.agents) * (CALLS + 1)
    ledger.check_once_each(range(len(team.agents) * CALLS))
    assert requests_in(handle) == [request.id]
