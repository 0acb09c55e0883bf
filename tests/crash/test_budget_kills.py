"""SIGKILL to workers and to the server while a budget waits: an extension counts once, and each call is made once."""

from __future__ import annotations

import dataclasses

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, Conflict, ModelSettings, Request, Team
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, kill, restart
from .ledger_agent import budget_agent, budget_members, budget_team


def an_agent(model: Stage, until: int) -> Agent:
    def reply(request: ModelRequest) -> Reply:
        return say("done") if request.turn >= until else call("work", number=request.turn, seconds=0.0)

    settings = ModelSettings(base_url=model.server.openai_url)
    return dataclasses.replace(budget_agent, model=model.play(reply), model_settings=settings)


def paused(handle: AgentHandle[str], *before: str) -> Request:
    def asked() -> list[Request]:
        return [each for each in handle.requests() if each.id not in before]

    wait_until(lambda: len(asked()) == 1, "the request", timeout=60)
    return asked()[0]


def test_the_worker_is_killed_while_the_budget_waits(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    """And once more right after it was extended: two extensions are two, and no turn is made twice."""
    ledger = dataclasses.replace(ledger, target="ledger_agent:budget_agent")
    played = an_agent(model, until=12)
    handle = runtime.start(played, "Work.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            request = paused(handle)
            first.kill()
        assert request.args == {"spent": {"calls": 3}, "limits": {"calls": 3}, "over": ["calls"]}
        handle.extend(calls=4, by="ann")
        with pytest.raises(Conflict, match="is extended already, by ann"):
            handle.extend(request.id, calls=4)
        with ledger.worker() as second:
            again = paused(handle, request.id)
            second.kill()
        assert again.args == {"spent": {"calls": 7}, "limits": {"calls": 7}, "over": ["calls"]}
        assert len(model.requests(played.model)) == 7
        handle.extend(calls=100)
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("done", 13)
    ledger.check_once_each(range(12))
    assert len(model.requests(played.model)) == 13
    assert [event.type for event in handle.stream() if event.request_id is not None] == [
        *("waiting", "decision"),
        *("waiting", "decision"),
    ]


@pytest.mark.timeout(400)
def test_the_server_is_killed_while_the_budget_waits(server: LocalServer, model: Stage, ledger: Ledger) -> None:
    runtime = AgentRuntime(server.url)
    ledger = dataclasses.replace(ledger, target="ledger_agent:budget_agent", url=server.url)
    handle = runtime.start(an_agent(model, until=5), "Work.", serve=False)
    with ledger.worker():
        request = paused(handle)
        kill(server)
        restart(server)
        assert paused(handle).id == request.id
        handle.extend(calls=100)
        with explained(runtime, handle.execution_id):
            assert handle.result(timeout=120).output == "done"

    ledger.check_once_each(range(5))


# ---- of a team -----------------------------------------------------------------------------------------


def a_team(model: Stage, *ends: int) -> Team:
    """Two members, of which each works from where the one before has ended, up to there."""

    def member(each: Agent[str], begin: int, end: int) -> Agent[str]:
        def reply(request: ModelRequest) -> Reply:
            number = begin + request.turn
            return say(f"{number} done") if number == end else call("work", number=number, seconds=0.0)

        settings = ModelSettings(base_url=model.server.openai_url)
        return dataclasses.replace(each, model=model.play(reply), model_settings=settings)

    members = [member(*given) for given in zip(budget_members, (0, *ends), ends, strict=False)]
    return Team(budget_team.name, members, budget=budget_team.budget)


def test_the_worker_is_killed_while_a_teams_budget_waits(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    """In its second member, and once more after it was extended; what the first one has used is not forgotten."""
    ledger = dataclasses.replace(ledger, target="ledger_agent:budget_team")
    team = a_team(model, 2, 12)
    handle = runtime.start(team, "Work.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            request = paused(handle)
            first.kill()
        assert (request.agent, request.args["spent"]) == ("budget_two", {"calls": 3})
        handle.extend(calls=7)
        with ledger.worker() as second:
            again = paused(handle, request.id)
            second.kill()
        assert again.args == {"spent": {"calls": 10}, "limits": {"calls": 10}, "over": ["calls"]}
        handle.extend(calls=100)
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("12 done", 14)
    ledger.check_once_each(range(12))
    assert [len(model.requests(each.model)) for each in team.agents] == [3, 11]


@pytest.mark.timeout(400)
def test_the_server_is_killed_while_a_teams_budget_waits(server: LocalServer, model: Stage, ledger: Ledger) -> None:
    runtime = AgentRuntime(server.url)
    ledger = dataclasses.replace(ledger, target="ledger_agent:budget_team", url=server.url)
    handle = runtime.start(a_team(model, 2, 5), "Work.", serve=False)
    with ledger.worker():
        request = paused(handle)
        kill(server)
        restart(server)
        assert paused(handle).id == request.id
        handle.extend(calls=1)
        with explained(runtime, handle.execution_id):
            again = paused(handle, request.id)
            assert again.args["spent"] == {"calls": 4}
            handle.extend(calls=100)
            assert handle.result(timeout=120).output == "5 done"

    ledger.check_once_each(range(5))
