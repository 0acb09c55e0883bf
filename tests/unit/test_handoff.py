"""Handoffs as they are declared and compiled: what is refused, and what those without any compile to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    DefinitionError,
    OnTextMention,
    OnToolResult,
    RegexGuardrail,
    Team,
    compile_agent,
    handoff,
    tool,
)
from agentspan.declare.handoff import as_one, crew, transitions
from agentspan.stored.request import ModelRequest


@tool
def look(order: str) -> str:
    """Look an order up."""
    return order


def an_agent(name: str, **options: Any) -> Agent[Any]:
    return Agent(name, **{"model": "openai/none", "description": f"Does {name}.", **options})


@dataclass
class State:
    found: int


@dataclass
class Other:
    seen: int


BILLING = an_agent("billing", tools=[look])
ASKS = RegexGuardrail("x", position="input", on_fail="human", name="asks")
STATEFUL = an_agent("stateful", state_type=State)


def test_who_may_take_over_follows_from_the_declarations() -> None:
    refunds = an_agent("refunds", handoffs=[BILLING])
    triage = an_agent("triage", handoffs=[refunds, BILLING], allowed_transitions={"billing": ["triage"]})
    assert list(crew(triage)) == ["triage", "refunds", "billing"]
    found = {name: [each.agent.name for each in handoffs] for name, handoffs in transitions(triage).items()}
    assert found == {"triage": ["refunds", "billing"], "refunds": ["billing"], "billing": ["triage"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"handoffs": "billing"}, "handoffs is a list of agents"),
        ({"handoffs": ["billing"]}, "handoffs has agents"),
        ({"handoffs": [BILLING, BILLING]}, "two tools named 'transfer_to_billing'"),
        ({"handoffs": [an_agent("quiet", description="")]}, "nothing says what it does"),
        ({"handoffs": [an_agent("n" * 60)]}, "too long"),
        ({"handoffs": [an_agent("triage")]}, "two agents are named 'triage'"),
        ({"handoffs": [BILLING], "model_place": "server"}, "handoffs need a worker"),
        ({"handoffs": [an_agent("served", model_place="server")]}, "cannot take over"),
        ({"handoffs": [Team("both", [BILLING, an_agent("other")])]}, "the team both cannot take over"),
        ({"handoffs": [handoff(BILLING, when=OnToolResult("look"))]}, "which is no tool of it"),
        ({"handoffs": [STATEFUL], "state_type": Other}, "stateful has another state_type than triage"),
        ({"handoffs": [an_agent("careful", guardrails=[ASKS])]}, "its guardrail asks asks a person about the prompt"),
        ({"handoffs": [BILLING], "allowed_transitions": {"billing": ["nobody"]}}, "of these: triage, billing"),
        ({"handoffs": [BILLING], "allowed_transitions": {"billing": ["billing"]}}, "allowed_transitions has 'billing'"),
        ({"handoffs": [BILLING], "allowed_transitions": {"billing": "triage"}}, "allowed_transitions has 'billing'"),
        ({"allowed_transitions": {"triage": ["billing"]}}, "allowed_transitions has 'triage'"),
    ],
)
def test_what_cannot_be_handed_over_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        an_agent("triage", **options)


def test_a_handoff_has_one_reason() -> None:
    with pytest.raises(DefinitionError, match="input_type"):
        handoff(BILLING, when=OnTextMention("bill"), input_type=int)
    with pytest.raises(DefinitionError, match="when is OnTextMention"):
        handoff(BILLING, when="bill")  # type: ignore[arg-type]


def test_the_definition_tells_how_each_is_asked() -> None:
    triage = an_agent("triage", handoffs=[BILLING], model_place="worker", max_turns=7)
    definition = compile_agent(triage, {"billing": 3})
    run = definition.workflows[-1]
    request = ModelRequest.of(run["metadata"], 1)
    assert run["metadata"]["crew"] == ["triage", "billing"]
    assert list(request.agents) == ["triage", "billing"]
    assert request.agents["billing"].tool_tasks == {"look": "billing.look"}
    assert request.agents["billing"].max_turns == 7
    assert [spec["name"] for spec in request.tools] == ["transfer_to_billing"]
    assert [task["name"] for task in definition.tasks] == ["triage.model"]


def test_all_share_the_state_that_one_declares() -> None:
    triage = an_agent("triage", handoffs=[BILLING, STATEFUL], model_place="worker")
    request = ModelRequest.of(compile_agent(triage).workflows[-1]["metadata"], 1)
    assert STATEFUL.shared_state is not None
    assert {each.state for each in request.agents.values()} == {STATEFUL.shared_state.fingerprint}


def test_an_agent_without_handoffs_is_itself() -> None:
    assert as_one(BILLING) is BILLING
    assert "crew" not in compile_agent(BILLING).to_json()
