"""A stored segment, read turn by turn into steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.reading.projection import Turn, by_turn, death, output_of
from agentspan.reading.result import answer_text
from agentspan.reading.timeline import Attempt, AttemptStatus, ModelCall, Step, ToolCall
from agentspan.stored.names import tool_of_task


def steps_of(segment: WorkflowRecord) -> Iterator[Step]:
    """The steps of one segment (or of an agent without tools), as far as it got."""
    turns = by_turn(segment.tasks)
    before = int(segment.input.get("steps") or 0)
    for number, turn in sorted(turns.items()):
        if not turn.get("llm"):
            return
        yield Step(
            number=before + number,
            segment_id=segment.workflow_id,
            model=_model_call(turn["llm"][1], run_of(segment)),
            calls=tuple(_tool_calls(turn)),
        )


def run_of(segment: WorkflowRecord) -> str:
    """The id of the run that a segment is part of; an agent without tools has no segments."""
    return str(segment.input.get("execution_id") or segment.workflow_id)


def _model_call(attempts: list[TaskRecord], execution_id: str) -> ModelCall:
    last = attempts[-1]
    said = last.output_data
    answers = last.status == "COMPLETED" and not said.get("toolCalls")
    return ModelCall(
        model=f"{last.input_data.get('llmProvider', '')}/{last.input_data.get('model', '')}",
        attempts=tuple(_attempt(task, number, _model_status(task)) for number, task in enumerate(attempts, 1)),
        prompt_tokens=int(said.get("promptTokens") or 0),
        completion_tokens=int(said.get("completionTokens") or 0),
        answer=answer_text(said.get("result"), execution_id) if answers else None,
    )


def _model_status(task: TaskRecord) -> str:
    """Conductor leaves a model call SCHEDULED while it makes it, and only notes when it began (3.32.3, tried)."""
    return "IN_PROGRESS" if task.status == "SCHEDULED" and task.start_time else task.status


def _tool_calls(turn: Turn) -> Iterator[ToolCall]:
    plans = turn.get("plan", {}).get(1, [])
    if not plans or plans[-1].status != "COMPLETED":
        return
    for number, call in enumerate(plans[-1].output_data["result"]["calls"], 1):
        tasks = turn.get("tool", {}).get(number, [])
        told = output_of(tasks[-1]) if tasks and tasks[-1].status not in PENDING else {}
        if call["task"] is None:
            told = {"error": call["error"]}
        yield ToolCall(
            call_id=call["id"],
            tool=tool_of_task(call["task"]) if call["task"] else call["name"],
            args=call["args"],
            attempts=tuple(_tool_attempts(tasks)),
            result=told.get("result"),
            error=None if "result" in told else told.get("error"),
        )


def _tool_attempts(tasks: list[TaskRecord]) -> Iterator[Attempt]:
    """Conductor has a task for each worker that died; what a tool raised is noted inside of one task."""
    number = 0
    for task in tasks:
        failures = task.output_data.get("failures", [])
        for place, failure in enumerate(failures):
            number += 1
            # The server knows when the first try was taken, and who asked for the last one.
            last = place == len(failures) - 1 and (failure.get("final") or task.status == "SCHEDULED")
            yield Attempt(
                number=number,
                status="failed",
                scheduled=_moment(task.scheduled_time),
                started=_moment(task.start_time) if place == 0 and task.start_time else None,
                ended=_moment(failure["at"]),
                worker=task.worker_id if last else None,
                error=failure["error"],
            )
        if not failures or not failures[-1].get("final"):
            number += 1
            yield _attempt(task, number, task.status, again=bool(failures))


_STATUS: dict[str, AttemptStatus] = {"SCHEDULED": "waiting", "IN_PROGRESS": "running", "COMPLETED": "done"}


def _attempt(task: TaskRecord, number: int, status: str, *, again: bool = False) -> Attempt:
    begun = task.start_time if not again and status != "SCHEDULED" else 0
    return Attempt(
        number=number,
        status=_STATUS.get(status, "failed"),
        scheduled=_moment(task.scheduled_time),
        started=_moment(begun) if begun else None,
        ended=_moment(task.end_time) if task.end_time and status not in PENDING else None,
        worker=task.worker_id if status != "SCHEDULED" else None,
        error=reason_text(death(task)) if status not in (*PENDING, "COMPLETED") else None,
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
