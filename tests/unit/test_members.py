"""`Agent(agents=…, strategy=…)`, as scripts for another SDK write it: a team, or an agent that asks the others."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    DefinitionError,
    MaxMessageTermination,
    OnTextMention,
    OnToolResult,
    StopMessageTermination,
    Strategy,
    Team,
    TextMentionTermination,
    agent_tool,
    compile_agent,
    tool,
)
from agentspan.declare.handoff import transitions

MODEL = "openai/gpt-4o"


@tool
def price(goods: str) -> str:
    """What goods cost."""
    return "4 euros"


SALES = Agent("sales", model=MODEL, instructions="You know prices.", tools=[price])
CARE = Agent("care", model=MODEL, instructions="You mend things.", description="Mends things.")


def declared(strategy: str | None = None, **options: Any) -> Agent[Any]:
    return Agent("desk", model=MODEL, agents=[SALES, CARE], strategy=strategy, **options)


def test_without_a_strategy_its_model_asks_the_others() -> None:
    asked = [agent_tool(SALES, description="You know prices."), agent_tool(CARE)]
    own = Agent("desk", model=MODEL, instructions="Ask.", tools=[price, *asked], max_turns=9)
    for strategy in (None, "handoff", Strategy.HANDOFF):
        given = declared(strategy, instructions="Ask.", tools=[price], max_turns=9)
        assert type(given) is Agent
        assert given == own
        assert compile_agent(given).to_json() == compile_agent(own).to_json()


@pytest.mark.parametrize(
    ("strategy", "options", "own"),
    [
        (Strategy.SEQUENTIAL, {"max_turns": 25}, {}),
        ("parallel", {"timeout_seconds": 60, "stateful": True}, {"timeout": 60}),
        ("router", {"instructions": "Choose."}, {"model": MODEL, "instructions": "Choose."}),
        ("router", {"router": CARE, "instructions": None}, {"router": CARE}),
        ("round_robin", {"max_turns": 4}, {"max_turns": 4}),
        ("random", {"termination": TextMentionTermination("DONE")}, {"until": "DONE"}),
        ("manual", {"termination": MaxMessageTermination(6)}, {"max_turns": 6}),
    ],
)
def test_with_a_strategy_it_is_a_team(strategy: str, options: dict[str, Any], own: dict[str, Any]) -> None:
    given, team = declared(strategy, **options), Team("desk", [SALES, CARE], strategy=strategy, **own)
    assert type(given) is Team
    assert given.strategy == strategy
    assert type(given.strategy) is str
    assert compile_agent(given).to_json() == compile_agent(team).to_json()
    assert copy.copy(given) == given
    assert pickle.loads(pickle.dumps(given)) == given


def test_a_swarm_begins_with_the_agent_that_has_something_to_say() -> None:
    swarm = declared(
        "swarm",
        instructions="Find out what it is about.",
        handoffs=[OnTextMention("broken", target="care"), OnToolResult("price", target="desk")],
        allowed_transitions={"care": ["desk"]},
    )
    assert type(swarm) is Agent
    who = {name: [(each.agent.name, each.when) for each in found] for name, found in transitions(swarm).items()}
    assert who == {
        "desk": [("sales", None), ("care", None), ("care", OnTextMention("broken"))],
        "sales": [("desk", None), ("care", None), ("care", OnTextMention("broken")), ("desk", OnToolResult("price"))],
        "care": [("desk", None)],
    }


def test_a_swarm_of_members_alone_begins_with_the_first() -> None:
    mentions = [OnTextMention("TO_CARE", target="care"), OnTextMention("TO_SALES", target="sales")]
    swarm = declared("swarm", handoffs=mentions, termination=MaxMessageTermination(10))
    assert type(swarm) is Team
    assert swarm.termination == MaxMessageTermination(10)
    who = {name: [(each.agent.name, each.when) for each in found] for name, found in transitions(swarm).items()}
    assert who == {
        "sales": [("care", None), ("care", OnTextMention("TO_CARE"))],
        "care": [("sales", None), ("sales", OnTextMention("TO_SALES"))],
    }


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"agents": ["sales"]}, "agent 'desk': agents is a list of agents", ""),
        ({"strategy": "plan_execute"}, "agent 'desk': strategy is handoff, sequential, .*, not 'plan_execute'", ""),
        ({"handoffs": [CARE]}, "agent 'desk': handoffs is not for it", "strategy='swarm'"),
        ({"strategy": "parallel", "tools": [price]}, "agent 'desk': tools is not for it", "give that to its members"),
        ({"strategy": "router", "guardrails": [len]}, "agent 'desk': guardrails is not for it", "strategy='router'"),
        ({"strategy": "random", "termination": StopMessageTermination()}, "end by a text or after a number", "until"),
        ({"strategy": "swarm", "handoffs": [OnTextMention("x", target="boss")]}, "one of sales, care, not .*boss", ""),
        ({"strategy": "swarm", "handoffs": [CARE]}, "with a target, one of sales, care, not <Agent care", ""),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str, hint: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        Agent(**{"name": "desk", "model": MODEL, "agents": [SALES, CARE], **options})
    assert hint in (caught.value.hint or "")


def test_instructions_that_nobody_reads_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="agent 'desk': nobody reads its instructions") as warned:
        declared("parallel", instructions="Bring it together.")
    assert warned[0].filename == __file__


def test_a_sequence_of_many_has_a_name_that_can_be_one() -> None:
    made = Agent("a" * 40, model=MODEL) >> Agent("b" * 40, model=MODEL) >> Agent("c" * 40, model=MODEL)
    assert [each.name[0] for each in made.agents] == ["a", "b", "c"]
    assert len(made.name) == 100
    assert (
        made.name != (Agent("a" * 40, model=MODEL) >> Agent("b" * 40, model=MODEL) >> Agent("d" * 40, model=MODEL)).name
    )


def test_an_agent_that_only_has_instructions_can_be_asked() -> None:
    assert agent_tool(SALES).description == "You know prices."
    with pytest.raises(DefinitionError, match="nothing says what it does"):
        agent_tool(Agent("silent", model=MODEL))
