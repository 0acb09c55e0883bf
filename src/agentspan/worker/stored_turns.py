"""A run's conversation, as what is stored of it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentspan.engine.records import TaskRecord
from agentspan.reading.run import StoredTurn
from agentspan.stored.output import Verdict
from agentspan.stored.plan import Plan, PlannedCall
from agentspan.worker.output import sent_back
from agentspan.worker.transcript import Exchange, said_as

Json = dict[str, Any]


def prompt_of(given: Json, verdict: Verdict | None) -> Json:
    """The prompt, as the agent's guardrails have left it."""
    content = {"content": given["content"]} if "content" in given else {}
    said = {"role": "user", "message": given["prompt"], **content}
    return said if verdict is None else said_as(said, verdict.value)


def exchange_of(turn: StoredTurn) -> Exchange:
    """What a turn that is over added to the conversation."""
    result = turn.model[-1].output_data["result"]
    note, answers = sent_back(turn)
    if turn.plan is not None and turn.plan.next != turn.plan.agent:
        answers = tuple(_passed_on(call, turn.plan) for call in result.get("answers", ()))
    told = (*((call.planned, call.told or {}) for call in turn.calls), *answers)
    return Exchange.of(result, told, note, **who(turn.plan))


def _passed_on(call: Json, plan: Plan) -> tuple[PlannedCall, Json]:
    """An answer that a model gave as a call, and that is none: another agent goes on."""
    result = f"{plan.next} takes over."
    return PlannedCall(id=call["id"], name=call["name"], args={}, task=None, result=result), {"result": result}


def who(plan: Plan | None) -> Json:
    """Whose turn it was, and who goes on, of a run that agents hand over."""
    return {} if plan is None or not plan.agent else {"agent": plan.agent, "next": plan.next or plan.agent}


def before(tasks: Sequence[TaskRecord], turn: int) -> int:
    """How many tasks stand before a turn's first one."""
    return next((place for place, task in enumerate(tasks) if task.place == ("llm", turn, 1)), len(tasks))
