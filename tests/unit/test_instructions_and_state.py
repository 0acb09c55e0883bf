"""Instructions of a function, the type of a run's state, and what comes of several changes of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from agentspan.agents import Agent, DefinitionError, RunContext, StateTemplate, ToolContext, ToolFailed, compile_agent
from agentspan.declare.agent import AgentOptions
from agentspan.declare.state import CallState, StateType
from agentspan.stored.state import merged


class Trip(BaseModel):
    city: str = "Oslo"
    booked: list[str] = Field(default_factory=list)
    spent: float = 0
    seats: dict[str, int] = Field(default_factory=dict)


def state(**stored: Any) -> CallState:
    type_ = StateType.of(Trip, "agent 'planner'")
    assert type_ is not None
    return CallState(type_, type_.begun(stored, "agent 'planner'"), "planner")


def two(one: RunContext, other: str) -> str:
    return "" if one else other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instructions": 7}, "instructions"),
        ({"instructions": two}, "of one argument, the RunContext, or of none"),
        ({"instructions": "Go.", "instructions_each": "turn"}, "for instructions that a function gives"),
        ({"instructions_each": "day"}, "'run' or 'turn', not 'day'"),
        ({"instructions": StateTemplate("{city}")}, "a StateTemplate shows the state"),
        ({"instructions": StateTemplate("{hotel}"), "state_type": Trip}, "show {hotel}, and its state_type has city"),
        ({"metadata": [1]}, "metadata is a dict with texts as keys"),
        ({"metadata": {"team": object()}}, "metadata"),
        ({"state_type": list[int]}, "state_type is a class with fields"),
    ],
)
def test_what_is_refused(options: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Agent("planner", model="openai/gpt-4o", model_place="worker", **options)


@pytest.mark.parametrize("text", ["{city!r}", "{city:>9}", "{city.name}", "{0}", "{}", "{city"])
def test_a_template_has_plain_fields(text: str) -> None:
    with pytest.raises(DefinitionError, match="StateTemplate"):
        StateTemplate(text)


def test_options_are_listed() -> None:
    assert {"instructions_each", "state_type", "dependencies", "metadata", "hooks"} <= set(AgentOptions.__annotations__)


def test_the_server_asks_once() -> None:
    each: dict[str, Any] = {"model": "openai/gpt-4o", "instructions": lambda: "Go.", "instructions_each": "turn"}
    with pytest.raises(DefinitionError, match="instructions_each='turn' needs a worker"):
        Agent("planner", model_place="server", **each)
    assert Agent("planner", **each).place == "worker"


def test_the_function_is_no_part_of_the_definition() -> None:
    def told(text: str) -> Agent[str]:
        return Agent("planner", model="openai/gpt-4o", instructions=lambda: text, model_place="worker")

    one, other = compile_agent(told("One.")), compile_agent(told("Two."))
    assert one.fingerprint == other.fingerprint
    plain = compile_agent(Agent("planner", model="openai/gpt-4o", model_place="worker"))
    assert one.fingerprint != plain.fingerprint


def test_a_call_sees_its_own_changes() -> None:
    call = state(city="Rome", other=1)
    call.add({"spent": 2, "booked": ["train"]})
    call.add({"spent": 3, "seats": {"train": 7}})
    call.set({"city": "Pisa"})
    call.set({"booked": ["bus"]})
    call.add({"booked": ["boat"]})

    assert call.value == Trip(city="Pisa", booked=["bus", "boat"], spent=5, seats={"train": 7})
    assert call.changes == {
        "set": {"city": "Pisa", "booked": ["bus", "boat"]},
        "add": {"spent": 5, "seats": {"train": 7}},
    }
    call.value.booked.append("plane")
    assert call.value.booked == ["bus", "boat"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda call: call.set({"hotel": 1}), "no field 'hotel'; its fields are city, booked"),
        (lambda call: call.set({"spent": "much"}), "spent"),
        (lambda call: call.set({"city": object}), "was not changed"),
        (lambda call: call.set({"booked": ["x" * 300_000]}), "longer than 250,000 bytes"),
        (lambda call: call.add({"city": "Rome"}), "str cannot be added to str"),
        (lambda call: call.add({"booked": 7}), "int cannot be added to list"),
    ],
)
def test_a_change_that_does_not_fit(change: Any, message: str) -> None:
    call = state()
    with pytest.raises(ToolFailed, match=message):
        change(call)
    assert call.changes == {}
    assert call.value == Trip()


def test_an_agent_without_a_state() -> None:
    context = ToolContext(idempotency_key="k", execution_id="e", agent="plain", tool="t", call_id="c", step=1)

    assert dict(context.state) == {}
    with pytest.raises(ToolFailed, match="The agent plain has no state_type"):
        context.set_state(city="Rome")


def test_a_typed_dict() -> None:
    class Case(TypedDict, total=False):
        number: int

    type_ = StateType.of(Case, "agent 'clerk'")
    assert type_ is not None
    call = CallState(type_, type_.begun({}, "agent 'clerk'"), "clerk")
    call.add({"number": 2})
    assert call.value == {"number": 2}


def test_changes_are_merged_in_their_order() -> None:
    begun = {"city": "Oslo", "spent": 1, "booked": ["a"]}
    reports = [{"set": {"city": "Rome"}, "add": {"spent": 2}}, {}, {"set": {"city": "Pisa"}, "add": {"booked": ["b"]}}]

    assert merged(begun, reports) == {"city": "Pisa", "spent": 3, "booked": ["a", "b"]}
    assert merged(begun, [{"set": {"spent": None}}, {"add": {"spent": 4}}]) == {**begun, "spent": 4}
    assert merged(begun, [{"set": {"spent": "none"}}, {"add": {"spent": 4}}]) == {**begun, "spent": 4}
    assert begun["booked"] == ["a"]
