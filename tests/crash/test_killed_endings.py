"""SIGKILL to workers after a run was asked to come to an end."""

from __future__ import annotations

import dataclasses

from agentspan.agents import AgentRuntime, ModelSettings
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained
from .ledger_agent import thin_agent


def test_a_stop_outlives_the_workers(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    """One dies in the turn that was to finish, another while the model gives its last answer."""

    def reply(request: ModelRequest) -> Reply:
        if request.body.get("tool_choice") != "none":
            return call("work", number=request.turn, seconds=2.0)
        return dataclasses.replace(say("That is it."), delay=60.0 if request.attempt == 1 else 0.0)

    settings = ModelSettings(base_url=model.server.openai_url)
    agent = dataclasses.replace(thin_agent, model=model.play(reply), model_settings=settings)
    ledger = dataclasses.replace(ledger, target="ledger_agent:thin_agent")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            wait_until(lambda: ledger.begun()[1] == 1, "the second call to begin", 60)
            handle.stop()
            first.kill()
        with ledger.worker() as second:
            wait_until(lambda: len(model.requests(agent.model)) == 3, "the last answer to be asked for", 60)
            second.kill()
        with ledger.worker():
            result = handle.result(timeout=90)

    assert (result.output, result.finish_reason) == ("That is it.", "stopped")
    ledger.check_once_each([0, 1])
    requests = model.requests(agent.model)
    assert len(requests) == 4
    assert [request.body.get("tool_choice") for request in requests[-2:]] == ["none", "none"]
    assert result.usage.total_tokens == sum(step.model.usage.total_tokens for step in handle.steps())
