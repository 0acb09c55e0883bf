"""`Agent(agents=…, strategy=…)`, as scripts for another SDK write a team: what it is here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.agent_tool import agent_tool
from agentspan.declare.handoff import Handoff, OnTextMention, OnToolResult
from agentspan.declare.strategy import Strategy
from agentspan.declare.team import IN_TURNS, Router, Team
from agentspan.declare.termination import MaxMessageTermination, TextMentionTermination
from agentspan.errors import DefinitionError

_OF_A_TEAM = ("description", "timeout", "timeout_seconds", "allowed_transitions", "budget", "until", "synthesis")
_SILENT = ("metadata", "max_tokens", "temperature", "stateful", "include_contents", "introduction")
"""Options of a team that nobody reads, and that scripts give to every agent."""


def of_members(
    name: str,
    *,
    agents: Sequence[Agent[Any]],
    strategy: str | None = None,
    model: str = "",
    router: Agent[Any] | Router | None = None,
    **options: Any,
) -> Agent[Any]:
    """What an agent with `agents` is.

    `handoff`: an agent whose tools they are. `swarm`: where it has instructions or tools of its own, an agent that
    hands over to them, and they to each other and back; else a team of them. All others: a team.

    Args:
        name: Its name.
        agents: Its members.
        strategy: One of `Strategy`; `handoff` unless given.
        model: Its model; that of the first member unless given.
        router: Who chooses (`router`).
        **options: Other options of an agent.

    Raises:
        DefinitionError: A value makes no sense, or a team has no such option.
    """
    what = f"agent {name!r}"
    if not isinstance(agents, Sequence) or not all(isinstance(agent, Agent) for agent in agents):
        raise DefinitionError(f"{what}: agents is a list of agents, not {agents!r}")
    strategy = Strategy.HANDOFF if strategy is None else strategy
    if strategy not in list(Strategy):
        raise DefinitionError(f"{what}: strategy is {', '.join(Strategy)}, not {strategy!r}")
    given = {option: value for option, value in options.items() if value is not None}
    if strategy == Strategy.HANDOFF:
        return _asking(name, agents, model, given)
    if strategy == Strategy.SWARM:
        return _swarm(name, agents, model, given)
    chooses = {"router": router} if router is not None else {"model": model or agents[0].model}
    told = {"instructions": given.pop("instructions", "")} if router is None else {}
    own = {**chooses, **told} if strategy == Strategy.ROUTER else {}
    return _team(name, agents, strategy, given if strategy == Strategy.ROUTER else {**given, **told}, own)


def _asking(name: str, agents: Sequence[Agent[Any]], model: str, given: dict[str, Any]) -> Agent[Any]:
    """An agent that has the others as tools."""
    _refuse(
        name,
        {each: given.pop(each) for each in ("handoffs", "allowed_transitions") if each in given},
        "the others answer the one that asks them; strategy='swarm' has agents that hand over",
    )
    tools = (*given.pop("tools", ()), *(agent_tool(each, description=said_of(each)) for each in agents))
    return Agent(name, model=model or agents[0].model, tools=tools, **given)


def _swarm(name: str, agents: Sequence[Agent[Any]], model: str, given: dict[str, Any]) -> Agent[Any]:
    """Agents that hand over to each other; the one that is declared begins where it has anything to say."""
    members = [each if each.description.strip() else replace(each, description=said_of(each)) for each in agents]
    conditions = tuple(given.pop("handoffs", ()))
    allowed = given.pop("allowed_transitions", {})
    if not (given.get("instructions") or given.get("tools")):
        between = _transitions({each.name: each for each in members}, allowed, conditions)
        first = {each: given.pop(each) for each in ("termination", "guardrails") if each in given}
        members[0] = replace(members[0], **first)
        return _team(name, members, Strategy.SWARM, {**given, "allowed_transitions": between}, {})
    front = Agent(name, model=model or members[0].model, **given)
    agent = {each.name: each for each in (front, *members)}
    return replace(
        front,
        description=front.description or said_of(front),
        handoffs=tuple(Handoff(agent=each) for each in members),
        allowed_transitions=_transitions(agent, allowed, conditions),
    )


def _transitions(
    agents: Mapping[str, Agent[Any]], allowed: Mapping[str, Sequence[str]], conditions: Sequence[Any]
) -> dict[str, Sequence[Any]]:
    """Who may hand over to whom, by a call of its model and by a condition."""
    for each in conditions:
        if not isinstance(each, OnTextMention | OnToolResult) or each.target not in agents:
            raise DefinitionError(
                f"handoffs of a swarm are OnTextMention and OnToolResult with a target, one of {', '.join(agents)}, "
                f"not {each!r}"
            )

    def of(agent: Agent[Any]) -> Iterator[Any]:
        names = allowed.get(agent.name, [name for name in agents if name != agent.name])
        yield from names
        tools = [tool.name for tool in agent.tools]
        for each in conditions:
            if each.target in names and (isinstance(each, OnTextMention) or each.tool_name in tools):
                yield each

    return {agent.name: tuple(of(agent)) for agent in agents.values()}


def _team(
    name: str, agents: Sequence[Agent[Any]], strategy: str, given: dict[str, Any], own: dict[str, Any]
) -> Agent[Any]:
    what = f"agent {name!r}"
    team = own | {each: given.pop(each) for each in _OF_A_TEAM if each in given}
    if "timeout_seconds" in team:
        team["timeout"] = team.pop("timeout_seconds") or None
    turns = given.pop("max_turns", None)
    if strategy in IN_TURNS:
        team |= {"max_turns": turns, **_end(given.pop("termination", None), what)}
    elif strategy == Strategy.SWARM:
        team |= {"max_turns": turns}
    if "instructions" in given and given.pop("instructions"):
        warnings.warn(
            f"{what}: nobody reads its instructions: with strategy={str(strategy)!r} its members have their own",
            stacklevel=5,
        )
    _refuse(
        name,
        {each: value for each, value in given.items() if each not in _SILENT and value not in ((), [], {}, False)},
        f"with strategy={str(strategy)!r} it is a team; give that to its members",
    )
    return Team(name, agents, strategy=Strategy(strategy), **team)


def _end(termination: Any, what: str) -> dict[str, Any]:
    """What a condition is of members that take turns."""
    if termination is None:
        return {}
    if isinstance(termination, TextMentionTermination):
        return {"until": termination.text}
    if isinstance(termination, MaxMessageTermination):
        return {"max_turns": termination.max_messages}
    raise DefinitionError(
        f"{what}: members that take turns end by a text or after a number of turns, not by {termination!r}",
        hint="Team(…, until=function, max_turns=…) says when.",
    )


def _refuse(name: str, given: Mapping[str, Any], why: str) -> None:
    if given:
        raise DefinitionError(
            f"agent {name!r}: {', '.join(sorted(given))} is not for it", hint=f"{why[0].upper()}{why[1:]}."
        )


def said_of(agent: Agent[Any]) -> str:
    """What others are told of an agent: its description, or else how its instructions begin, or its name."""
    return agent.description or agent.fixed_instructions[:300] or f"The agent {agent.name}."
