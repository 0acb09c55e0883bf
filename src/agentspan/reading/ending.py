"""How a run ended: its result, or the error that tells why there is none."""

from __future__ import annotations

from typing import Any

from agentspan.engine.failure import model_failure, reason_text
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import ExecutionError, ExecutionFailed, ExecutionTerminated, ExecutionTimedOut
from agentspan.reading.output import answer_of, failure_text, invalid, refusal
from agentspan.reading.result import AgentResult, AgentStatus, finish_reason
from agentspan.reading.spent import used_in
from agentspan.stored.budget import OVER_BUDGET, is_over_budget
from agentspan.stored.guard import REFUSED
from agentspan.stored.output import INVALID, is_typed

_ENDINGS: dict[str, type[ExecutionError]] = {
    "FAILED": ExecutionFailed,
    "TERMINATED": ExecutionTerminated,
    "TIMED_OUT": ExecutionTimedOut,
}

_REASONS = {"FAILED": "error", "TERMINATED": "cancelled", "TIMED_OUT": "timeout"}
"""Why a run has no answer, where its model gave no reason."""


def result_of(run: WorkflowRecord) -> AgentResult[Any]:
    """What a run gave that is over, whether with an answer or without one.

    Args:
        run: The run; its tasks are not needed.
    """
    answer = answer_of(run)
    typed = run.status == "COMPLETED" and is_typed(run.workflow_definition["metadata"])
    return AgentResult(
        output=answer,
        json=(answer,) if typed else None,
        execution_id=run.workflow_id,
        status=run.status,
        finish_reason=finish_reason(OVER_BUDGET if is_over_budget(run.output) else run.output.get("finish_reason")),
        steps=int(run.output.get("steps") or 0),
        usage=used_in(run),
        intact=bool(run.output.get("intact", True)),
        error=None if run.status == "COMPLETED" else failure_text(run),
        answers=run.output.get("answers") or {},
    )


def so_far(result: AgentResult[Any], status: AgentStatus, turns: int) -> AgentResult[Any]:
    """The result of a run that ended without an answer, with what it had done by then: the engine stores no sums of it.

    Args:
        result: What `result_of` gave.
        status: The run's status.
        turns: How many turns were begun in it.
    """
    reason = (
        result.finish_reason
        if result.finish_reason in ("max_turns", INVALID, REFUSED, OVER_BUDGET)
        else _REASONS[result.status]
    )
    values = {**result.__dict__, "steps": turns, "usage": status.usage, "finish_reason": reason}
    return AgentResult(**values)


def error_of(run: WorkflowRecord, result: AgentResult[Any]) -> ExecutionError:
    """The error of a run that ended without an answer.

    Args:
        run: The run; its tasks are not needed.
        result: What it had done by then.
    """
    known = invalid(run, result) or refusal(run, result)
    if known is not None:
        return known
    reason = run.reason_for_incompletion or "no reason given"
    failure = model_failure(reason)
    return _ENDINGS[run.status](
        f"Run {run.workflow_id} of agent {run.workflow_name} ended as {run.status}: {reason_text(reason)}",
        execution_id=run.workflow_id,
        hint=(failure and failure.hint) or f"`agentspan agent stream {run.workflow_id}` shows its steps.",
        result=result,
    )
