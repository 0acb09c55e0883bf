"""The agents around an agent: those that it calls, its members, those that take over. Each name is that of one."""

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
    for agent in _with_theirs((*members, *_called(tools))):
        if known.setdefault(agent.name, agent) != agent:
            raise DefinitionError(
                f"agent {name!r}: two agents are named {agent.name!r} among those that it calls, or is one of them",
                hint="Give each a name of its own.",
            )


def check_lent(agent: Agent[Any]) -> None:
    """Refuse a call that is to work with a state which the caller has not.

    Raises:
        DefinitionError: There is one.
    """
    for called in _called(agent.tools):
        state, own = called.shared_state, agent.shared_state
        if state is not None and state.lent and (own is None or own.fingerprint != state.fingerprint):
            raise DefinitionError(
                f"agent {agent.name!r}: {called.name} is to work with its state, and has another state_type than it",
                hint=f"Give both the same, or leave out agent_tool({called.name}, state='shared').",
            )


def agents_around(agent: Agent[Any]) -> tuple[Agent[Any], ...]:
    """The agents that work in its runs: its members, those that take over, and those that it calls; not theirs."""
    return (*members_of(agent), *taking_over(agent), *_called(agent.tools))


def all_around(agent: Agent[Any]) -> Iterator[Agent[Any]]:
    """The same with theirs, at any depth."""
    return _with_theirs(agents_around(agent))


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
        yield from all_around(agent)


def _called(tools: Iterable[Tool[..., Any]]) -> Iterator[Agent[Any]]:
    return (tool.agent for tool in tools if tool.agent is not None)
