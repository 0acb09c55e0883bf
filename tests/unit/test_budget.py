"""What a budget may say, and its programs in a jq of this process."""

from __future__ import annotations

from typing import Any

import jq
import pytest

from agentspan.agents import Agent, Budget, DefinitionError, ModelSettings, Price, compile_agent, tool
from agentspan.compiler._tasks import program
from agentspan.stored.budget import Spent, extension_told
from agentspan.stored.person import Decision
from agentspan.stored.request import ModelInput
from agentspan.worker.unpriced import warn_of_unpriced

Json = dict[str, Any]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


def an_agent(**options: Any) -> Agent[str]:
    return Agent("frugal", model="openai/gpt-4o", model_place="worker", **{"tools": [look], **options})


# ---- what is declared ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"deadline": 60},
        {"cost": 0},
        {"cost": -1.0},
        {"cost": float("nan")},
        {"cost": float("inf")},
        {"cost": "1"},
        {"cost": True},
        {"tokens": 1.5},
        {"calls": 0},
        {"turns": True},
        {"time": 0},
        {"cost": 1.0, "warn_at": 0},
        {"cost": 1.0, "warn_at": 1.1},
        {"cost": 1.0, "deadline": 0.5},
        {"cost": 1.0, "default": "extend"},
    ],
)
def test_what_makes_no_sense_is_refused(values: Json) -> None:
    with pytest.raises(DefinitionError, match="Budget"):
        Budget(**values)


def test_an_agent_takes_a_budget_and_nothing_else() -> None:
    with pytest.raises(DefinitionError, match="budget must be a Budget"):
        an_agent(budget=2.5)
    with pytest.raises(DefinitionError, match="no tool can be named 'budget'"):
        an_agent(budget=Budget(calls=1), tools=[tool(look.function, name="budget")])
    with pytest.raises(DefinitionError, match="a budget needs a worker"):
        Agent("frugal", model="openai/gpt-4o", model_place="server", budget=Budget(calls=1))


@pytest.mark.parametrize("tools", [(), (look,)])
def test_no_budget_compiles_to_the_same_bytes(tools: Any) -> None:
    assert compile_agent(an_agent(tools=tools, budget=None)) == compile_agent(an_agent(tools=tools))


def test_each_workflow_names_the_request_of_its_version() -> None:
    segment, request, _ = compile_agent(an_agent(budget=Budget(calls=1))).at_version(7)

    over = [task["decisionCases"]["over"][0] for task in segment["tasks"] if task["name"] == "within"]
    assert [task["subWorkflowParam"] for task in over] == [{"name": "frugal.request.budget", "version": 7}] * 8
    assert request["name"] == "frugal.request.budget"


# ---- the look before a turn ----------------------------------------------------------------------------


def spent(after: Json | None = None, **more: Any) -> Json:
    given = {"after": after, "limits": {"calls": 2}, "warn_at": 0.8, "steps": 8, "turn": 1, **more}
    found: Json = jq.compile(program("budget")).input_value(given).first()
    return found


def test_nothing_is_used_before_the_first_turn() -> None:
    found = spent(limits={"cost": 1.0, "tokens": 5, "input_tokens_per_request": 5, "calls": 2, "turns": 2, "time": 9})

    assert found["mode"] == "on"
    assert set(found["spent"].values()) == {0}
    assert found["step"] == 9


def test_called_agents_count_and_names_that_are_no_numbers_do_not() -> None:
    limits = {"cost": 1.0, "tokens": 100}
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "cost": 0.25}
    found = spent({"usage": usage, "used": [usage, {**usage, "cost": 0.5, "odd": "1"}]}, limits=limits)

    assert found["spent"] == {"cost": 1.0, "tokens": 75}
    assert (found["mode"], found["over"], found["warn"]) == ("over", ["cost"], [])


def test_what_a_guardrails_model_used_since_counts() -> None:
    newest = {"prompt_tokens": 9}
    limits = {"tokens": 100}

    assert spent({"usage": [newest, {"prompt_tokens": 5}]}, limits=limits)["spent"] == {"tokens": 9}
    assert spent({"usage": [None, newest]}, limits=limits)["spent"] == {"tokens": 9}


def test_calls_that_were_not_made_do_not_count() -> None:
    first = spent({"calls": ["frugal.look", None, None]})
    second = spent({"before": first, "calls": ["frugal.look"]})

    assert (first["mode"], second["mode"]) == ("on", "over")


def test_an_extension_counts_once_and_is_warned_of_anew() -> None:
    over = spent({"calls": ["a", "b"]})
    extended = spent({"before": over, "decided": {"mode": "extend", "extend": {"calls": 8}, "waited": 7}, "calls": []})
    later = spent({"before": extended, "decided": None, "calls": ["a"] * 6})
    last = spent({"before": later, "decided": None, "calls": []})

    assert (extended["limits"], extended["mode"], extended["waited"]) == ({"calls": 10}, "on", 7)
    assert (later["limits"], later["warn"], last["warn"]) == ({"calls": 10}, ["calls"], [])


def test_after_the_decision_to_finish_nobody_is_asked_again() -> None:
    over = spent({"calls": ["a", "b"]})
    ending = spent({"before": over, "decided": {"mode": "finish"}, "calls": []})
    later = spent({"before": ending, "decided": None, "calls": []})

    assert [(found["mode"], found["ending"]) for found in (over, ending, later)] == [
        ("over", False),
        ("on", True),
        ("on", True),
    ]


def test_time_goes_from_the_first_turn_without_the_wait_for_the_decision() -> None:
    first = spent({"times": [1_000, 2_000, None, 3_500]}, limits={"time": 2.0})
    second = spent({"before": first, "decided": {"waited": 60}, "times": [63_600, 64_000]}, limits={"time": 2.0})

    assert (first["spent"], first["mode"]) == ({"time": 2.5}, "over")
    assert second["spent"] == {"time": 3.0}


def test_a_turn_that_was_passed_over_takes_nothing_back() -> None:
    limits = {"cost": 1.0, "tokens": 100, "turns": 9}
    before = spent({"usage": {"prompt_tokens": 20, "cost": 0.25}, "step": 4}, limits=limits)
    found = spent({"before": before, "usage": None, "used": [], "calls": [], "step": None}, limits=limits)

    assert found["spent"] == before["spent"] == {"cost": 0.25, "tokens": 20, "turns": 4}


# ---- the decision --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "mode", "decision"),
    [
        ({"approved": False, "by": "ann", "reason": "no"}, "cancel", {"approved": False, "by": "ann", "reason": "no"}),
        (
            {"approved": True, "extend": {"calls": 1}, "id": "x"},
            "extend",
            {"approved": True, "extended": {"calls": 1}, "id": "x"},
        ),
        ({"approved": True, "finish": True}, "finish", {"approved": True}),
        ({"approved": True}, "finish", {"approved": True}),
        ({}, "cancel", {"approved": False, "overdue": True}),
    ],
)
def test_what_counts_as_a_decision(person: Json, mode: str, decision: Json) -> None:
    given = {"person": person, "from": 1_000, "to": 4_000, "deadline": 60, "default": "cancel"}
    found = jq.compile(program("budget_decided")).input_value(given).first()

    assert (found["mode"], found["decision"], found["waited"]) == (mode, decision, 3)


def test_what_is_stored_is_read_back() -> None:
    assert Spent.of(spent({"calls": ["a", "b"]})).over_told == "2 of 2 calls of tools"
    assert Spent(spent={"cost": 0.5}, limits={"cost": 1}).told("cost") == "cost $0.5000 of $1.0000"
    assert extension_told({"cost": 1.5, "time": 60}) == "$1.5000, 60 seconds"
    assert Decision.of({"approved": True, "extend": {"calls": 1}}).extended == {"calls": 1}
    given = {"execution_id": "x", "segment": "y", "turn": 1}
    assert [
        ModelInput.of({**given, "ending": each}).ending for each in (None, [False, None], [True], [None, "finish"])
    ] == [
        False,
        False,
        True,
        True,
    ]


def test_models_of_agents_that_take_over_are_looked_at_too(caplog: pytest.LogCaptureFixture) -> None:
    taker = Agent("unpriced_taker", model="openai/of-another-house", description="Takes over.", model_place="worker")
    prices = {"openai/known": Price(input=1, output=1)}
    agent = Agent(
        "unpriced_desk",
        model="openai/known",
        handoffs=[taker],
        budget=Budget(cost=1),
        model_place="worker",
        model_settings=ModelSettings(prices=prices),
    )
    warn_of_unpriced(agent)

    assert [record.args for record in caplog.records] == [("unpriced_desk", "openai/of-another-house")]
