"""What an agent with a `state_type` has more: each call is given the state that its turn begins with. See ADR 0031."""

from __future__ import annotations

from typing import Any

from agentspan.compiler._tasks import Json, ref
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.declare.tool import Tool
from agentspan.stored.names import SEGMENT
from agentspan.stored.state import CHANGED, STATE


def with_state(agent: Agent[Any], planned: str, tools: dict[str, list[Json]]) -> dict[str, list[Json]]:
    """The tasks of a turn's calls, by the plan's mode; those of several calls get the state from the plan itself.

    Args:
        agent: Whose turn.
        planned: Where the plan is.
        tools: The tasks, of an agent without a state.
    """
    if agent.shared_state is None:
        return tools
    alone: dict[str, list[Json]] = {
        mode: [
            {**task, "inputParameters": {**task["inputParameters"], STATE: ref(f"{planned}.{STATE}")}}
            for task in tools[mode]
        ]
        for mode in ("one", "ask")
        if mode in tools
    }
    return {**tools, **alone}


def state_known(agent: Agent[Any]) -> str | None:
    """What a worker is told of the type of its runs' state; None where they have none."""
    return None if agent.shared_state is None else agent.shared_state.fingerprint


def seen_by_guards(agent: Agent[Any], turn: int) -> Json:
    """What the check of an answer takes of the state: nothing where no guardrail wants to know it."""
    seen = any(guard.takes_context for guard in agent.guards(Position.OUTPUT))
    return {STATE: ref(f"llm_{turn}.output.result.{STATE}")} if seen and agent.shared_state is not None else {}


def given_state(agent: Agent[Any]) -> tuple[str, ...]:
    """What the workflow of a call that needs a person is given more."""
    return () if agent.shared_state is None else (STATE,)


def is_lent(tool: Tool[..., Any]) -> bool:
    """Whether a tool is an agent that works with the state of the run that calls it."""
    return tool.agent is not None and _is_borrowing(tool.agent)


def lent_to(tool: Tool[..., Any]) -> Json:
    """What the call of an agent, in a workflow of its own, hands on of the state."""
    return {STATE: ref(f"workflow.input.{STATE}")} if is_lent(tool) else {}


def _is_borrowing(agent: Agent[Any]) -> bool:
    return agent.shared_state is not None and agent.shared_state.lent


def changes_left(agent: Agent[Any], turn: int) -> Json:
    """What a run that works with the state of its caller gives more with its answer: what it has changed of that."""
    return {STATE: ref(f"llm_{turn}.output.result.{CHANGED}")} if _is_borrowing(agent) else {}


def changes_kept(agent: Agent[Any]) -> Json:
    """The same of what its last segment gave."""
    return {STATE: ref(f"{SEGMENT}.output.{STATE}")} if _is_borrowing(agent) else {}


def told_state(agent: Agent[Any], program: str) -> str:
    """The program of what the model is told of such a call, with what the call changed."""
    changed = "if .said.state? then {state: .said.state} else {} end"
    return program if agent.shared_state is None else f"{program} + ({changed})"
