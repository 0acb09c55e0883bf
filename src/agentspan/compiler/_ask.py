"""Where a person is asked about what a guardrail refuses: the request, and what stands after it.

The request itself is `_review`. See ADR 0026.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._tasks import Json, ref
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.stored.names import request_name

WHAT = {Position.INPUT: "prompt", Position.OUTPUT: "answer"}
"""What a person is shown of what guardrails of an agent look at: the only argument of the request."""

RESULT = "result"
"""The same of a tool's result."""


def verdict(agent: Agent[Any], position: Position, turn: int = 1) -> str:
    """Where it stands what came of a prompt or of an answer."""
    checked = "judged_" if agent.asks_about(position) else ""
    return f"{checked}{position}_{turn}.output.result"


def asked(agent: Agent[Any], position: Position, turn: int, execution_id: str, step: Any) -> list[Json]:
    """What follows a check by which a person may be asked; nothing where none is.

    Args:
        agent: Whose check.
        position: What is looked at: the prompt or an answer.
        turn: Which one of its workflow.
        execution_id: Where the run's id is.
        step: Which turn of the run.
    """
    if not agent.asks_about(position):
        return []
    found, ask = f"{position}_{turn}.output.result", f"ask_{position}_{turn}"
    given = {
        "args": {WHAT[position]: ref(f"{found}.value")},
        **{name: ref(f"{found}.{name}") for name in ("asks", "said", "again", "final")},
        "call_id": position.value,
        "call": ask,
        "step": step,
        "execution_id": execution_id,
    }
    request = t.sub_workflow(f"ask_{position}", ask, request_name(agent.name, position), 1, given)
    return [
        _whether(f"{position}_{turn}", ref(f"{found}.mode"), request),
        t.jq(
            "judged",
            f"judged_{position}_{turn}",
            "What came of it, by the guardrails or by a person.",
            ".asked // .checked",
            asked=ref(f"{ask}.output"),
            checked=ref(found),
        ),
    ]


def asked_of_result(workflow: str) -> Json:
    """The same after a tool's call, in the workflow of that call.

    Args:
        workflow: The request's.
    """
    given = {
        "args": {RESULT: ref("tool_1.output.result")},
        "asks": ref("tool_1.output.asks"),
        **{name: ref(f"workflow.input.{name}") for name in ("call", "call_id", "step", "execution_id")},
    }
    request = t.sub_workflow("ask_result", "ask_result_1", workflow, 1, given)
    return _whether("result", ref("tool_1.output.mode"), request)


def _whether(of: str, mode: str, request: Json) -> Json:
    return t.switch("whether", f"whether_{of}", "Whether a person is asked.", mode, {"ask": [request]})
