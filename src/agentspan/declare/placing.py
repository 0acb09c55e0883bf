"""Where the models of an agent and of all around it are called, once it is known what the settings say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.called import agents_around, all_around, taking_over
from agentspan.declare.places import Place, check_server_can, why_worker
from agentspan.declare.team import Team


def placed(agent: Agent[Any], setting: Place | None) -> Agent[Any]:
    """The agent, and those around it, with what the setting says of those that do not say; theirs to choose where None.

    Those that take runs over are asked by the worker of the agent that begins, so a worker calls their models.

    Raises:
        DefinitionError: The setting has the server call a model that only a worker calls as it is meant.
    """
    return _placed(agent, setting, _takers(agent))


def told(agent: Agent[Any]) -> dict[str, str]:
    """Who calls the model of a placed agent, and of each one around it, by their names, with why."""
    whole, takers = [each for each in (agent, *all_around(agent)) if each.has_turns], _takers(agent)
    return {each.name: _told(each, takes_over=each.name in takers) for each in whole}


def _told(agent: Agent[Any], *, takes_over: bool) -> str:
    why = why_worker(agent)
    if agent.place == "server" or not (why or takes_over):
        return agent.place
    return f"worker: {', '.join(why or ('it takes runs over',))}"


def _takers(agent: Agent[Any]) -> frozenset[str]:
    return frozenset(each.name for whole in (agent, *all_around(agent)) for each in taking_over(whole))


def _placed(agent: Agent[Any], setting: Place | None, takers: frozenset[str]) -> Agent[Any]:
    def made(each: Agent[Any]) -> Agent[Any]:
        return _placed(each, setting, takers)

    if isinstance(agent, Team):
        if setting == "server":
            check_server_can(agent)
        return agent.having(made)
    place = agent.model_place or ("worker" if agent.name in takers else setting)
    if place == agent.model_place and not agents_around(agent):
        return agent
    tools = (tool if tool.agent is None else replace(tool, agent=made(tool.agent)) for tool in agent.tools)
    handoffs = (replace(each, agent=made(each.agent)) for each in agent.handoffs)
    return replace(agent, model_place=place, tools=tuple(tools), handoffs=tuple(handoffs))
