"""Agents whose model a worker calls, on the real server, with a provider's real HTTP."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, AgentRuntime, ModelSettings, tool
from agentspan.testing import call, calls, say
from agentspan.testing.plugin import Stage


@pytest.fixture
def settings(model: Stage) -> ModelSettings:
    return ModelSettings(base_url=model.server.openai_url)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_run_of_calls(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    script = [call("add", a=1, b=2), calls(call("add", a=3, b=4), call("add", a=5, b=6)), say("21")]
    name = model.play(script)
    agent = Agent("thin", model=name, tools=[add], model_place="worker", model_settings=settings)

    result = runtime.run(agent, "Sum up.", timeout=60)

    assert (result.output, result.steps) == ("21", 3)
    assert [r.output for r in model.requests(name)[-1].tool_results] == [7, 11]
