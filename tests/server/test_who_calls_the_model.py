"""An agent says what it wants, and its model is called where that is to be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, Budget, DefinitionError, ExecutionFailed, Team, ToolContext, tool
from agentspan.testing import call, say
from agentspan.testing.plugin import Stage


@dataclass
class Case:
    order: str = ""


@tool
def note(order: str, context: ToolContext) -> str:
    """Note which order it is about."""
    context.set_state(order=order)
    return "noted"


@tool
def look(context: ToolContext) -> str:
    """Look the order up."""
    return f"{context.state.order} is late"


def stored_format(runtime: AgentRuntime, name: str) -> Any:
    definition = runtime.client.workflow_definition(name)
    assert definition is not None
    return definition["metadata"].get("format")


@pytest.mark.usefixtures("scripted_openai")
def test_an_agent_with_a_state_and_a_handoff_says_nothing_of_places(runtime: AgentRuntime, model: Stage) -> None:
    taking = model.play(lambda request: call("look") if request.turn == 2 else say("It is late."))
    billing = Agent("placed_billing", model=taking, tools=[look], description="Knows orders.")
    begins = model.play([call("note", order="A-1"), call("transfer_to_placed_billing")])
    desk = Agent("placed_desk", model=begins, tools=[note], state_type=Case, handoffs=[billing])

    handle = runtime.start(desk, "Where is A-1?")
    assert handle.result(timeout=60).output == "It is late."
    assert handle.state() == Case("A-1")
    assert [step.agent for step in handle.steps()] == ["placed_desk", "placed_desk", "placed_billing", "placed_billing"]
    assert runtime.plan(desk)["modelPlaces"] == {
        "placed_desk": "worker: state_type needs one, handoffs need one",
        "placed_billing": "worker: it takes runs over",
    }


@pytest.mark.usefixtures("scripted_openai")
def test_members_and_called_agents_are_called_where_each_needs_it(runtime: AgentRuntime, model: Stage) -> None:
    plain = Agent("placed_plain", model=model.play([say("plain")]))
    frugal = Agent("placed_frugal", model=model.play([say("frugal")]), budget=Budget(turns=3))

    assert runtime.run(Team("placed_pair", [plain, frugal]), "Go.", timeout=60).output == "frugal"
    assert (stored_format(runtime, "placed_plain"), stored_format(runtime, "placed_frugal")) == (None, 2)


def test_where_the_settings_have_the_server_call_it_is_refused_before_anything_is_sent(conductor_url: str) -> None:
    agent = Agent("placed_refused", model="openai/none", budget=Budget(turns=3))
    with AgentRuntime(conductor_url, model_place="server") as runtime:
        for verb in (runtime.register, runtime.deploy, lambda each: runtime.start(each, "Go.")):
            with pytest.raises(DefinitionError, match="a budget needs a worker"):
                verb(agent)
        assert runtime.client.workflow_definition("placed_refused") is None


def test_a_key_that_is_missing_where_the_worker_is_says_what_needs_one(
    runtime: AgentRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = Agent("placed_keyless", model="openai/gpt-4o", budget=Budget(turns=3))
    wanted = "The worker cannot call openai/gpt-4o: .*OPENAI_API_KEY.* the agent placed_keyless: a budget needs one"
    with pytest.raises(ExecutionFailed, match=wanted):
        runtime.run(agent, "Hello?", timeout=60)
