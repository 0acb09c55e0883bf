"""SIGKILL to a worker while a guardrail looks at the prompt beside the model's first call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, GuardrailError, ModelSettings
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained


@pytest.fixture
def declared(declared_in: Callable[[str], Any]) -> Agent:
    found = declared_in("guarded_agent").beside
    assert isinstance(found, Agent)
    return found


@pytest.mark.parametrize("prompt", ["My card is 1234.", "I have no card."])
def test_a_worker_dies_while_it_looks(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, declared: Agent, prompt: str
) -> None:
    agent = dataclasses.replace(
        declared,
        model=model.play(lambda request: say("two") if request.turn else call("work", number=1)),
        model_settings=ModelSettings(base_url=model.server.openai_url),
    )
    ledger = dataclasses.replace(ledger, target="guarded_agent:beside")
    handle = runtime.start(agent, prompt, serve=False)
    passes = "1234" in prompt
    with explained(runtime, handle.execution_id):
        with ledger.worker() as worker:
            wait_until(ledger.path.with_name("in-beside").exists, "the guardrail to begin", 60)
            wait_until(lambda: model.requests(agent.model), "the model to be asked beside it", 60)
            worker.kill()
        with ledger.worker():
            if passes:
                assert handle.result(timeout=90).output == "two"
            else:
                with pytest.raises(GuardrailError, match="beside_the_model"):
                    handle.result(timeout=90)

    ledger.check_once_each([1] * passes)
    slow = ("waiting", "resumed")  # as long as no worker is there
    kinds = [event.type for event in handle.stream() if event.type not in slow]
    assert kinds[:3] == ["step", "model_retry", "guardrail_pass" if passes else "guardrail_fail"]
    assert kinds[-1] == ("done" if passes else "error")
