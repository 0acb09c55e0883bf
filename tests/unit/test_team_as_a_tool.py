"""What `agent_tool` takes of a team."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, DefinitionError, Team, agent_tool

MEMBERS = [Agent(name, model="openai/gpt-4o", description="Works.") for name in ("one", "two")]


@pytest.mark.parametrize("strategy", ["sequential", "round_robin", "swarm"])
def test_a_limit_of_a_team_is_said_by_the_team(strategy: str) -> None:
    team = Team("desk", MEMBERS, strategy=strategy, description="Works.")  # type: ignore[arg-type]

    with pytest.raises(DefinitionError, match=r"agent_tool\(desk\): max_turns is for an agent that has turns itself"):
        agent_tool(team, max_turns=3)
    assert agent_tool(team).agent == team
