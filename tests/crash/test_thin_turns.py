"""SIGKILL to workers that call the model: the call is made again elsewhere, and nothing that finished is done again."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

import pytest

from agentspan.agents import Agent, AgentRuntime, ModelSettings
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, call, calls, say, stream, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained, kill, restart
from .ledger_agent import thin_agent


def an_agent(model: Stage, reply: object) -> Agent:
    settings = ModelSettings(base_url=model.server.openai_url)
    return dataclasses.replace(thin_agent, model=model.play(reply), model_settings=settings)  # type: ignore[arg-type]


def test_a_model_call_whose_worker_dies_is_made_again_in_another(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    def reply(request: ModelRequest) -> Reply:
        if request.turn == 3:
            return say("done")
        answer = call("work", number=request.turn, seconds=0.0)
        slow = request.turn == 2 and request.attempt == 1
        return dataclasses.replace(answer, delay=60.0) if slow else answer

    agent = an_agent(model, reply)
    ledger = dataclasses.replace(ledger, target="ledger_agent:thin_agent")
    handle = runtime.start(agent, "Go.", serve=False)
    with ledger.worker() as first:
        wait_until(lambda: len(model.requests(agent.model)) == 3, "the third model call to be made")
        first.kill()
    with ledger.worker():
        result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("done", 4)
    ledger.check_once_each(range(3))
    assert len(model.requests(agent.model)) == 5
    retried = [(event.step, event.attempt) for event in handle.stream() if event.type == "model_retry"]
    assert retried == [(3, 1)]
    (again,) = [request for request in model.requests(agent.model) if request.attempt == 2]
    assert [result.output for result in again.tool_results] == [1]


def test_words_of_a_worker_that_dies_are_void(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    def reply(request: ModelRequest) -> Reply:
        return stream("Ten and", 60.0) if request.attempt == 1 else say("Eleven")

    agent = an_agent(model, reply)
    agent = dataclasses.replace(agent, model_settings=dataclasses.replace(agent.model_settings, stream=True))
    ledger = dataclasses.replace(ledger, target="ledger_agent:thin_agent")
    handle = runtime.start(agent, "Go.", serve=False)
    got = []
    with ExitStack() as workers:
        first = workers.enter_context(ledger.worker())
        for event in handle.stream(tokens=True):
            got.append(event)
            if event.type == "text_delta" and len([each for each in got if each.type == "text_delta"]) == 1:
                first.kill()
                workers.enter_context(ledger.worker())

    kinds = [event.type for event in got]
    assert [event.text for event in got[: kinds.index("text_void")] if event.type == "text_delta"] == ["Ten and"]
    assert kinds.count("text_void") == 1
    assert (got[-1].type, got[-1].output) == ("done", "Eleven")


def test_workers_are_killed_again_and_again(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    """Two calls a turn, over several segments; each worker dies in the middle of one, and the next knows nothing."""

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 12:
            return say("done")
        first = 2 * request.turn
        return calls(*[call("work", number=number, seconds=0.2) for number in (first, first + 1)])

    agent = an_agent(model, reply)
    ledger = dataclasses.replace(ledger, target="ledger_agent:thin_agent")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        for killed in (5, 11, 18):
            with ledger.worker() as worker:
                wait_until(lambda number=killed: ledger.begun()[number] > 0, f"call {killed} to begin", 60)  # type: ignore[misc]
                worker.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("done", 13)
    ledger.check_once_each(range(24))
    results = [event.result for event in handle.stream() if event.type == "tool_result"]
    assert results == list(range(24))


@pytest.mark.timeout(400)
def test_the_server_is_killed_while_the_model_answers(server: LocalServer, model: Stage, ledger: Ledger) -> None:
    def reply(request: ModelRequest) -> Reply:
        answer = call("work", number=request.turn, seconds=0.0) if request.turn < 10 else say("done")
        return dataclasses.replace(answer, delay=3.0) if request.turn == 4 and request.attempt == 1 else answer

    agent = an_agent(model, reply)
    runtime = AgentRuntime(server.url)
    ledger = dataclasses.replace(ledger, target="ledger_agent:thin_agent", url=server.url)
    handle = runtime.start(agent, "Go.", serve=False)
    with ledger.worker():
        wait_until(lambda: len(model.requests(agent.model)) == 5, "the fifth model call", 60)
        kill(server)
        restart(server)
        result = handle.result(timeout=120)

    assert (result.output, result.steps) == ("done", 11)
    ledger.check_once_each(range(10))
