"""SIGKILL to workers while an answer is checked, and while the model is asked once more."""

from __future__ import annotations

import dataclasses

import pytest

from agentspan.agents import AgentRuntime, ModelSettings
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained
from .ledger_agent import typed_agent


@pytest.mark.parametrize("place", ["worker", "server"])
def test_workers_die_in_the_middle_of_the_checks(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, place: str
) -> None:
    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("work", number=1, seconds=0.0)
        answer = say(
            ['{"response": {"total": 2}}', '{"response": {"total": "x"}}', '{"response": {"total": 3}}'][
                request.turn - 1
            ]
        )
        return dataclasses.replace(answer, delay=60.0) if slow(request) else answer

    def slow(request: ModelRequest) -> bool:
        return place == "worker" and request.turn == 2 and request.attempt == 1

    settings = ModelSettings(base_url=model.server.openai_url) if place == "worker" else ModelSettings()
    agent = dataclasses.replace(
        typed_agent,
        model=model.play(reply),
        model_settings=settings,
        model_place="worker" if place == "worker" else None,
    )
    ledger = dataclasses.replace(ledger, target=f"ledger_agent:typed_agent{'' if place == 'worker' else '_served'}")
    checked = ledger.path.with_name("checked")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            wait_until(checked.exists, "the first check to begin", 60)
            first.kill()
        if place == "worker":
            with ledger.worker() as second:
                wait_until(lambda: len(model.requests(agent.model)) == 3, "the model to be asked once more", 60)
                second.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ({"total": 3}, 4)
    ledger.check_once_each([1])
    assert len(model.requests(agent.model)) == (5 if place == "worker" else 4)
    last = model.requests(agent.model)[-1]
    assert "the total is not 3" in last.messages[-3].text
    assert "total: Input should be a valid integer" in last.messages[-1].text
