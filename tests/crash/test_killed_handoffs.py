"""SIGKILL to a worker right after an agent took over: the same one goes on in another worker, nothing is done again."""

from __future__ import annotations

import dataclasses

from agentspan.agents import Agent, AgentRuntime, ModelSettings, Team
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained
from .ledger_agent import handing_agent, swarm_members, taking_agent


def test_who_took_over_goes_on_in_another_worker(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    def first(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("work", number=0, seconds=0.0)
        return calls(call("work", number=1, seconds=0.0), call("transfer_to_taking_ledger"))

    def second(request: ModelRequest) -> Reply:
        if request.turn == 4:
            return say("done")
        answer = call("work", number=request.turn, seconds=0.0)
        slow = request.turn == 2 and request.attempt == 1
        return dataclasses.replace(answer, delay=60.0) if slow else answer

    settings = ModelSettings(base_url=model.server.openai_url)
    taking: Agent[str] = dataclasses.replace(taking_agent, model=model.play(second), model_settings=settings)
    agent: Agent[str] = dataclasses.replace(
        handing_agent,
        model=model.play(first),
        model_settings=settings,
        handoffs=(dataclasses.replace(handing_agent.handoffs[0], agent=taking),),
    )
    ledger = dataclasses.replace(ledger, target="ledger_agent:handing_agent")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as worker:
            wait_until(lambda: len(model.requests(taking.model)) == 1, "the agent that took over to be asked")
            worker.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("done", 5)
    ledger.check_once_each(range(4))
    assert len(model.requests(agent.model)) == 2
    assert {request.system for request in model.requests(taking.model)} == {"You took over."}
    assert [step.agent for step in handle.steps()] == ["handing_ledger"] * 2 + ["taking_ledger"] * 3
    targets = [(event.step, event.agent, event.target) for event in handle.stream() if event.type == "handoff"]
    assert targets == [(2, "handing_ledger", "taking_ledger")]
    assert [event.agent for event in handle.stream() if event.type == "model_retry"] == ["taking_ledger"]


def test_a_swarm_goes_on_in_another_worker(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    names = ["two", "three", "one", "three", "two", "one"]

    def reply(request: ModelRequest) -> Reply:
        if request.turn == len(names):
            return say("done")
        answer = calls(call("work", number=request.turn, seconds=0.0), call(f"transfer_to_{names[request.turn]}"))
        slow = request.turn == 3 and request.attempt == 1
        return dataclasses.replace(answer, delay=60.0) if slow else answer

    settings = ModelSettings(base_url=model.server.openai_url)
    members = [
        dataclasses.replace(each, model=model.play(reply), model_settings=settings, model_place="worker")
        for each in swarm_members
    ]
    ledger = dataclasses.replace(ledger, target="ledger_agent:swarm_team")
    handle = runtime.start(Team("swarm_ledger", members, strategy="swarm"), "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as worker:
            wait_until(lambda: len(model.requests(members[0].model)) == 2, "the first one to be asked again")
            worker.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("done", 7)
    ledger.check_once_each(range(6))
    assert [step.agent for step in handle.steps()] == ["one", *names]
    assert [event.target for event in handle.stream() if event.type == "handoff"] == names
    assert [event.agent for event in handle.stream() if event.type == "model_retry"] == ["one"]
