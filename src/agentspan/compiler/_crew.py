"""What an agent with handoffs has more: what a worker is told of the agents that may take over, and who is at work.

Its workflow is that of one agent with the tools and the checks of all. See ADR 0032.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agentspan.compiler._state import state_known
from agentspan.compiler._tasks import Json, ref
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Guardrail
from agentspan.declare.handoff import (
    Handoff,
    OnTextMention,
    OnToolResult,
    as_one,
    crew,
    entry_guards,
    mixes_types,
    transitions,
)
from agentspan.stored.names import CREW, SEGMENT, TURNS_PER_SEGMENT
from agentspan.stored.output import ANSWERED_BY
from agentspan.stored.request import ModelRequest, Transfer

_NO_ARGUMENTS: Json = {"type": "object", "properties": {}}


def handing_over(agent: Agent[Any], asked: Callable[[Agent[Any]], ModelRequest]) -> ModelRequest:
    """How the model of an agent is asked, and those of all that may take over from it.

    Args:
        agent: The agent.
        asked: How an agent's model is asked, as of one that does not hand over.
    """
    if not agent.handoffs:
        return asked(agent)
    handoffs = transitions(agent)
    guards = entry_guards(agent)
    requests = {name: _with(asked(each), name, handoffs[name], guards[name]) for name, each in crew(agent).items()}
    own = replace(asked(agent), state=state_known(as_one(agent)))
    of_the_run = {name: getattr(own, name) for name in ("max_turns", "on_max_turns", "termination", "state")}
    agents = {name: replace(each, **of_the_run) for name, each in requests.items()}
    return replace(next(iter(agents.values())), agents=agents)


def _with(request: ModelRequest, name: str, handoffs: tuple[Handoff, ...], guards: Sequence[Guardrail]) -> ModelRequest:
    tools = tuple(_tool(each) for each in handoffs if each.tool is not None)
    transfers = tuple(Transfer(agent=each.agent.name, tool=each.tool, when=_when(each)) for each in handoffs)
    looking = tuple(guard.name for guard in guards)
    return replace(request, agent=name, tools=(*request.tools, *tools), transfers=transfers, guardrails=looking)


def _tool(handoff: Handoff) -> Json:
    told = handoff.description or handoff.agent.description
    name, arguments = handoff.agent.name, handoff.arguments
    return {
        "name": handoff.tool,
        "description": f"Hands the conversation over to {name}, who goes on with it. {told}",
        "parameters": _NO_ARGUMENTS if arguments is None else dict(arguments.schema),
    }


def _when(handoff: Handoff) -> dict[str, str]:
    when = handoff.when
    if when is None:
        return {}
    if isinstance(when, OnTextMention):
        return {"text": when.text}
    if isinstance(when, OnToolResult):
        contains = {} if when.result_contains is None else {"contains": when.result_contains}
        return {"tool": when.tool_name, **contains}
    return {"function": getattr(when, "__name__", type(when).__name__)}


def crew_known(agent: Agent[Any], definition: Json) -> Json:
    """A definition whose readers are told who may be at work."""
    if not agent.handoffs:
        return definition
    return {**definition, "metadata": {**definition["metadata"], CREW: list(crew(agent))}}


def at_work_given(agent: Agent[Any]) -> Json:
    """What the loop gives a segment of who is at work."""
    return {"agent": ref(f"{SEGMENT}.output.agent")} if agent.handoffs else {}


def at_work_left(agent: Agent[Any]) -> Json:
    """What a segment leaves of that."""
    return {"agent": ref(f"llm_{TURNS_PER_SEGMENT}.output.result.next")} if agent.handoffs else {}


def whose_answer(agent: Agent[Any], turn: int) -> Json:
    """What the check of an answer takes more: who gave it."""
    return {ANSWERED_BY: ref(f"llm_{turn}.output.result.agent")} if agent.handoffs else {}


def whose_answer_left(agent: Agent[Any], turn: int) -> Json:
    """What a run gives more with the answer of a turn, where its readers cannot tell the type of that otherwise."""
    return whose_answer(agent, turn) if mixes_types(agent) else {}


def whose_answer_kept(agent: Agent[Any]) -> Json:
    """The same of what its last segment gave."""
    return {ANSWERED_BY: ref(f"{SEGMENT}.output.{ANSWERED_BY}")} if mixes_types(agent) else {}
