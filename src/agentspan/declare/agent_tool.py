"""`agent_tool`: an agent that other agents call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from agentspan.declare.agent import Agent
from agentspan.declare.approval import Approval, Policy
from agentspan.declare.state import Lent
from agentspan.declare.tool import Tool, tool
from agentspan.errors import DefinitionError

State = Literal["own", "shared"]
"""Whose state a called agent works with."""


def _ask(request: str) -> None:
    """Ask.

    Args:
        request: What is asked of it, with all that it has to know: it sees nothing else of this conversation.
    """


def agent_tool(
    agent: Agent[Any],
    name: str | None = None,
    description: str | None = None,
    *,
    max_turns: int | None = None,
    state: State = "own",
    approval: Approval | Policy | bool | None = None,
) -> Tool[..., Any]:
    """An agent as a tool: the caller says what it wants, and the answer is the result.

        researcher = Agent("researcher", model="openai/gpt-4o", tools=[search], description="Looks things up.")
        writer = Agent("writer", model="openai/gpt-4o", tools=[agent_tool(researcher)])

    The call is a run of its own inside of the caller's: with its own steps, approvals and limits. What it uses counts
    for the caller, too; cancelling, pausing and retrying the caller reach it. An agent that runs out of turns, or whose
    answers do not fit its type, is an error that the caller's model reads; one whose model's provider refuses for good
    fails the caller's run, and `retry()` goes on inside of it.

    Args:
        agent: The agent.
        name: What models call it; the agent's name unless given.
        description: What models are told it does; the agent's own description unless given, or else how its
            instructions begin.
        max_turns: Its limit in these calls; the agent's own unless given.
        state: `own`: each call begins with a state of its own, made from the `context=` of the run that calls.
            `shared`: it begins with the state of that run, and what its calls change counts there as what the call
            has changed, once it has answered. Both agents have the same `state_type` then.
        approval: A person decides before it is called; see `tool`.

    Raises:
        DefinitionError: It is no agent, says nowhere what it does, or is to share a state and has none.
    """
    if not isinstance(agent, Agent):
        raise DefinitionError(f"agent_tool needs an Agent, not {agent!r}")
    text = (agent.description or agent.fixed_instructions[:300]) if description is None else description
    if not text.strip():
        raise DefinitionError(
            f"agent {agent.name!r} is to be called by others, and nothing says what it does",
            hint="Give it a description, or agent_tool one.",
        )
    if max_turns is not None and not agent.has_turns:
        raise DefinitionError(
            f"agent_tool({agent.name}): max_turns is for an agent that has turns itself, and it is a team",
            hint="Team(…, max_turns=…) limits members that take turns; each member has a limit of its own.",
        )
    called = agent if max_turns is None else replace(agent, max_turns=max_turns)
    if state not in ("own", "shared"):
        raise DefinitionError(f"agent_tool({agent.name}): state is 'own' or 'shared', not {state!r}")
    if state == "shared":
        if agent.state_type is None:
            raise DefinitionError(
                f"agent_tool({agent.name}): it has no state_type, so it can share no state",
                hint="Give it that of the agents that call it.",
            )
        called = replace(called, state_type=Lent(agent.state_type))
    made = tool(_ask, name=agent.name if name is None else name, description=text, approval=approval)
    return replace(made, agent=called)
