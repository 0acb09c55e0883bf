"""A team's budget: what is refused and compiled, and the look of a member before a turn, in a jq of this process."""

from __future__ import annotations

from typing import Any

import jq
import pytest

from agentspan.agents import Agent, Budget, DefinitionError, Price, Team, agent_tool, compile_agent
from agentspan.agents import ModelSettings as Settings
from agentspan.compiler._tasks import program
from agentspan.stored.budget import is_over_budget
from agentspan.worker.unpriced import warn_of_unpriced

Json = dict[str, Any]

BUDGET = Budget(turns=3)


def agent(name: str, **options: Any) -> Agent[str]:
    return Agent(name, model="openai/gpt-4o", **{"model_place": "worker", "description": name, **options})


ANN, BOB, CID = agent("ann"), agent("bob"), agent("cid")


# ---- what is declared ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "options", "why"),
    [
        ([ANN, agent("own", budget=Budget(calls=1))], {}, "its member own has one of its own"),
        ([ANN, Team("inner", [BOB, CID], budget=Budget(calls=1))], {}, "its member inner has one of its own"),
        ([ANN, BOB], {"strategy": "router", "router": agent("desk", budget=BUDGET)}, "its member desk has one"),
        ([ANN, agent("cook", model_place="server")], {}, "agent 'cook': the Conductor server does not ask a person"),
        ([ANN, BOB], {"budget": 2.5}, "budget must be a Budget"),
    ],
    ids=["own", "own_below", "router", "server", "number"],
)
def test_what_makes_no_sense_is_refused(members: Any, options: Json, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        Team("team", members, **{"budget": BUDGET, **options})


def test_no_budget_compiles_to_the_same_bytes() -> None:
    assert compile_agent(Team("team", [ANN, BOB], budget=None)) == compile_agent(Team("team", [ANN, BOB]))
    Team("team", [ANN, BOB], budget=BUDGET)
    assert compile_agent(ANN) == compile_agent(agent("ann"))


def test_an_agent_that_a_member_calls_may_have_its_own() -> None:
    called = agent("called", budget=Budget(calls=1))
    team = Team("team", [ANN, agent("caller", tools=[agent_tool(called)])], budget=BUDGET)

    assert team.agents[1].tools[0].agent == called


def test_what_goes_on_after_a_team_with_a_budget_is_no_part_of_it() -> None:
    team = Team("ann_then_bob", [ANN, BOB], budget=BUDGET)

    assert (team >> CID).agents == (team, CID)
    assert (Team("ann_then_bob", [ANN, BOB]) >> CID).agents == (ANN, BOB, CID)


def test_limits_are_in_the_team_and_not_in_its_members() -> None:
    team = Team("team", [ANN, agent("looks", tools=[agent_tool(CID)])], budget=BUDGET)
    single, segment = compile_agent(team.agents[0]).workflows[-1], compile_agent(team.agents[1]).workflows[0]
    looks = [next(task for task in each["tasks"] if task["name"] == "spent") for each in (single, segment)]

    assert [look["inputParameters"]["limits"] for look in looks] == [{}, {}]
    begun = compile_agent(team).workflows[-1]["tasks"][0]["inputParameters"]
    assert begun["budget"] == [{"before": {"limits": {"turns": 3}}}]


def test_a_model_without_a_price_is_said_once_and_priced_members_are_not(caplog: pytest.LogCaptureFixture) -> None:
    known = Settings(prices={"openai/of-the-house": Price(input=1, output=1)})
    priced = Agent("priced", model="openai/of-the-house", model_place="worker", model_settings=known)
    other = Agent("unpriced", model="openai/of-no-house", model_place="worker")
    warn_of_unpriced(Team("unpriced_team", [priced, other], budget=Budget(cost=1)))

    assert [record.args for record in caplog.records] == [("unpriced_team", "openai/of-no-house")]


# ---- the look before a turn ----------------------------------------------------------------------------


def spent(after: Json | None = None, **more: Any) -> Json:
    """What a member's look gives."""
    query = compile_agent(Team("team", [ANN, BOB], budget=BUDGET).agents[0]).workflows[-1]["tasks"][0]
    given = {"after": after, "handed": None, "limits": {}, "warn_at": 0.8, "steps": 0, "turn": 1, **more}
    found: Json = jq.compile(query["inputParameters"]["queryExpression"]).input_value(given).first()
    return found


def begun(**limits: float) -> Json:
    return {"before": {"limits": limits}}


def test_a_member_that_nobody_gave_a_budget_has_none() -> None:
    for handed in (None, [None], [None, []]):
        found = spent(handed=handed)
        assert (found["mode"], found["spent"], found["limits"]) == ("on", {}, {})
    assert spent({"before": spent(), "step": 500})["mode"] == "on"


def test_what_members_before_have_used_counts_beside_its_own() -> None:
    limits = begun(cost=10.0, tokens=100, turns=5, calls=5)
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "cost": 0.25, "model": "x"}
    first = spent(handed=[None, limits])
    left = {"before": first, "usage": usage, "step": 2, "calls": ["ann.look"]}
    second = spent(handed=[[None, left], limits])
    third = spent({"before": second, "usage": usage, "step": 1, "used": [{"prompt_tokens": 5}], "calls": ["a", None]})
    fourth = spent({"before": third, "usage": None, "step": None})
    nobody = spent(handed=[{"before": third, "usage": usage, "step": 2}])

    assert first["spent"] == {"cost": 0, "tokens": 0, "calls": 0, "turns": 0}
    assert second["spent"] == {"cost": 0.25, "tokens": 25, "calls": 1, "turns": 2}
    assert third["spent"] == {"cost": 0.5, "tokens": 55, "calls": 2, "turns": 3}
    assert fourth["spent"] == third["spent"]
    assert (nobody["spent"]["turns"], nobody["spent"]["tokens"]) == (4, 55)
    assert [each["base"]["steps"] for each in (first, second, third, fourth, nobody)] == [0, 2, 2, 2, 4]


def test_an_extension_by_the_last_turn_of_a_member_counts_once_for_those_after_it() -> None:
    over = spent({"before": spent(handed=[begun(turns=2)]), "step": 2})
    left = {"before": over, "decided": {"mode": "extend", "extend": {"turns": 3}, "waited": 7}, "step": 3}
    second = spent(handed=[left])
    third = spent({"before": second, "step": 1})

    assert (over["mode"], second["mode"], third["mode"]) == ("over", "on", "on")
    assert (second["limits"], third["limits"]) == ({"turns": 5}, {"turns": 5})
    assert (second["spent"], third["spent"], third["waited"]) == ({"turns": 3}, {"turns": 4}, 7)


def test_the_size_of_a_request_is_that_of_the_member_at_work() -> None:
    limits = begun(input_tokens_per_request=100)
    over = spent({"before": spent(handed=[limits]), "prompt": 500})
    second = spent(handed=[{"before": spent(handed=[limits]), "prompt": 500}])

    assert (over["mode"], second["mode"]) == ("over", "on")


def test_time_goes_from_the_first_members_first_turn() -> None:
    first = spent(handed=[begun(time=2.0)])
    second = spent(handed=[{"before": first, "times": [1_000, 2_500]}])
    third = spent({"before": second, "times": [2_600, 3_500]})

    assert ([each["spent"]["time"] for each in (second, third)], third["mode"]) == ([1.5, 2.5], "over")


def test_after_the_decision_to_finish_no_member_asks_again() -> None:
    over = spent({"before": spent(handed=[begun(turns=2)]), "step": 2})
    second = spent(handed=[{"before": over, "decided": {"mode": "finish"}, "step": 3}])

    assert (second["mode"], second["ending"], second["over"]) == ("on", True, ["turns"])


# ---- what a team makes of it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "finishes"),
    [
        (None, False),
        ([None, begun(turns=1)], False),
        ([None, [None, {"before": {"ending": True}}], begun(turns=1)], True),
        ([{"before": {"ending": False}, "decided": {"mode": "finish"}}], True),
        ([{"before": {}, "decided": {"mode": "extend"}}, {"decided": {"mode": "finish"}}], False),
    ],
)
def test_whether_a_team_finishes(left: Any, finishes: bool) -> None:
    assert jq.compile(f"{program('team_budget')} finishing").input_value(left).first() is finishes


def test_a_team_ended_by_its_budget_is_told_from_what_its_members_left() -> None:
    cancelled = {"decided": {"mode": "cancel"}}

    assert is_over_budget({"finish_reason": "over_budget"})
    assert is_over_budget({"finish_reason": None, "budget": [None, [None, cancelled], begun(turns=1)]})
    for output in ({}, {"budget": None}, {"budget": [begun(turns=1), {"decided": {}}, {"decided": None}]}):
        assert not is_over_budget(output)
