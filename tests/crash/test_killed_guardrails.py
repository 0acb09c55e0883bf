"""SIGKILL to workers while their guardrails look at the prompt, at arguments and at the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, ModelSettings
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained


@pytest.fixture
def declared(declared_in: Callable[[str], Any]) -> Agent:
    found = declared_in("guarded_agent").agent
    assert isinstance(found, Agent)
    return found


@pytest.mark.parametrize("place", ["worker", "server"])
def test_workers_die_in_each_guardrail(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, declared: Agent, place: str
) -> None:
    settings = ModelSettings(base_url=model.server.openai_url) if place == "worker" else ModelSettings()
    agent = dataclasses.replace(
        declared,
        model=model.play([call("work", number=1), say("two"), say("three")]),
        model_settings=settings,
        model_place="worker" if place == "worker" else None,
    )
    ledger = dataclasses.replace(ledger, target=f"guarded_agent:{'agent' if place == 'worker' else 'served'}")
    handle = runtime.start(agent, "My card is 1234.", serve=False)
    with explained(runtime, handle.execution_id):
        for guard in ("prompt", "arguments", "answer"):
            with ledger.worker() as worker:
                wait_until(ledger.path.with_name(f"in-{guard}").exists, f"the guardrail of the {guard} to begin", 60)
                worker.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.steps) == ("three", 3)
    ledger.check_once_each([1])
    requests = model.requests(agent.model)
    assert len(requests) == 3
    assert requests[-1].messages[0].text == "My card is ****."
    assert [(event.type, event.step, event.guardrail_name) for event in handle.stream() if event.guardrail_name] == [
        ("guardrail_fail", 1, "prompt"),
        ("guardrail_pass", 1, "arguments"),
        ("guardrail_fail", 2, "answer"),
        ("guardrail_pass", 3, "answer"),
    ]
