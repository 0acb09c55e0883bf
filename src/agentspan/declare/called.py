"""Agents among the tools of an agent: each name is that of one agent, at any depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from agentspan.declare.tool import Tool
from agentspan.errors import DefinitionError

if TYPE_CHECKING:
    from agentspan.declare.agent import Agent


def check_called(name: str, tools: Sequence[Tool[..., Any]], members: Sequence[Agent[Any]] = ()) -> None:
    """Refuse two agents of one name: a name is a definition on the server.

    Raises:
        DefinitionError: There are two.
    """
    known: dict[str, Agent[Any] | None] = {name: None}
    for agent in (*_with_theirs(members), *called(tools)):
        if known.setdefault(agent.name, agent) != agent:
            raise DefinitionError(
                f"agent {name!r}: two agents are named {agent.name!r} among those that it calls, or is one of them",
                hint="Give each a name of its own.",
            )


def called(tools: Sequence[Tool[..., Any]]) -> Iterator[Agent[Any]]:
    """The agents among these tools, and those that they call."""
    yield from _with_theirs(tool.agent for tool in tools if tool.agent is not None)


def members_of(agent: Agent[Any]) -> tuple[Agent[Any], ...]:
    """The members of a team; an agent that is none has none."""
    members: tuple[Agent[Any], ...] = getattr(agent, "members", ())
    return members


def taking_over(agent: Agent[Any]) -> tuple[Agent[Any], ...]:
    """The agents that an agent hands its runs over to."""
    return tuple(each.agent for each in agent.handoffs)


def _with_theirs(agents: Iterable[Agent[Any]]) -> Iterator[Agent[Any]]:
    for agent in agents:
        yield agent
        yield from _with_theirs((*members_of(agent), *taking_over(agent)))
        yield from called(agent.tools)
