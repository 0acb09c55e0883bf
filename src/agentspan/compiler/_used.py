"""What the calls of a turn have used: agents that were called, and models that guardrails of tools ask.

Each leaves it as `usage` beside its result; it counts from the turn after on.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import is_part
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import LLMGuardrail
from agentspan.declare.tool import Tool
from agentspan.stored.names import tool_reference


def asks_models(tool: Tool[..., Any]) -> bool:
    """Whether a guardrail of a tool asks a model."""
    return any(isinstance(guard, LLMGuardrail) for guard in tool.guardrails)


def calls_ask_models(agent: Agent[Any]) -> bool:
    """Whether guardrails of its tools ask models."""
    return any(asks_models(tool) for tool in agent.tools)


def calls_use(agent: Agent[Any]) -> bool:
    """Whether any of its calls may use tokens."""
    return calls_ask_models(agent) or any(is_part(tool) for tool in agent.tools)


def of_one(agent: Agent[Any], turn: int) -> Json:
    """What looks at what a turn's calls have used takes more: that of its only call.

    Args:
        agent: Whose turn.
        turn: Which one of its segment.
    """
    return {"one": ref(f"{tool_reference(turn)}.output.usage")} if calls_ask_models(agent) else {}


# ---- where the server calls the model ------------------------------------------------------------------


def used_before(agent: Agent[Any], turn: int) -> Json:
    """What the plan takes of it."""
    used = "workflow.input.used" if turn == 1 else f"exchange_{turn - 1}.output.result.used"
    return {"used": ref(used)} if calls_use(agent) else {}


def used_passed_on(agent: Agent[Any], turn: int) -> Json:
    """What a segment that ends after `turn` leaves to the next one of what its last calls have used."""
    found = {"used": ref(f"exchange_{turn}.output.result.used")}
    return found if calls_use(agent) else {}


def with_used_before(agent: Agent[Any], program: str) -> str:
    """The program of the plan, which adds it to the run's tokens."""
    return f"{program} | {adding('($in.used // [])')}" if calls_use(agent) else program


def with_used(agent: Agent[Any], program: str, *, asked: bool) -> str:
    """The program of what a turn adds to the transcript, which hands it on.

    Args:
        agent: Whose turn.
        program: The program.
        asked: Whether a call may need a person.
    """
    if not calls_use(agent):
        return program
    one = "($in.one // empty), " if calls_ask_models(agent) else ""
    return f"{program} | {_USED.format(one + ('($in.asked // empty), ' if asked else ''))}"


def adding(used: str) -> str:
    """jq: adds what stands in a list to `usage`.

    Args:
        used: That list, as jq.
    """
    return (
        f"reduce {used}[] as $used (.; "
        'reduce ($used | to_entries[] | select(.value | type == "number")) as $each '
        "(.; .usage[$each.key] = ((.usage[$each.key] // 0) + $each.value)))"
    )


_USED = ". + {{used: [{}($in.many // {{}})[] | .usage? // empty]}}"
"""jq: what the calls of this turn have used."""
