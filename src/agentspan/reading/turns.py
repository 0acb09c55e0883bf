"""A stored segment, read turn by turn into steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentspan.declare.approval import Request
from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord
from agentspan.reading.durations import moment
from agentspan.reading.requests import request_of
from agentspan.reading.result import answer_text
from agentspan.reading.run import StoredCall, StoredSegment, StoredTurn, death
from agentspan.reading.spent import usage_of
from agentspan.reading.timeline import Attempt, AttemptStatus, ModelCall, Step, ToolCall
from agentspan.stored.said import Said


def steps_of(segment: StoredSegment) -> Iterator[Step]:
    """The steps of one segment (or of an agent without tools), as far as it got."""
    asked = asked_beside(segment)
    for turn in segment.turns:
        yield Step(
            number=turn.step,
            segment_id=segment.record.workflow_id,
            model=_model_call(turn, segment),
            calls=tuple(_tool_call(call) for call in turn.calls),
            agent=turn.agent or None,
            summary=turn.summary.text if turn.summary else None,
            requests=tuple(asked.get(turn.step, ())),
        )


def asked_beside(segment: StoredSegment) -> dict[int, list[Request]]:
    """What people are, or were, asked in a segment beside calls, by the step; that may not have begun."""
    found: dict[int, list[Request]] = {}
    for kind in ("ask_input", "budget", "ask_output"):
        # A run that is retried goes on with the same request.
        tasks = {task.sub_workflow_id: task for task in segment.record.tasks if task.kind == kind}
        for part_id, task in tasks.items():
            part = segment.parts.get(part_id or "")
            request = None if part is None else request_of(part)
            if request is not None and task.place is not None:
                found.setdefault(segment.given.steps + task.place[1], []).append(request)
    return found


def model_of(turn: StoredTurn, segment: StoredSegment) -> str:
    """Which model answered, `provider/name`; which is asked, until one has."""
    last = turn.model[-1]
    if last.in_worker:
        return str((last.output_data.get("result") or {}).get("model") or segment.model)
    return f"{last.input_data.get('llmProvider', '')}/{last.input_data.get('model', '')}"


def _model_call(turn: StoredTurn, segment: StoredSegment) -> ModelCall:
    attempts, last = turn.model, turn.model[-1]
    if last.in_worker:
        return _worker_model_call(turn, segment)
    said = last.output_data
    answers = last.status == "COMPLETED" and not said.get("toolCalls")
    return ModelCall(
        model=model_of(turn, segment),
        attempts=tuple(_attempt(task, number, _model_status(task)) for number, task in enumerate(attempts, 1)),
        usage=usage_of(turn, segment),
        answer=answer_text(said.get("result"), segment.execution_id) if answers else None,
    )


def _worker_model_call(turn: StoredTurn, segment: StoredSegment) -> ModelCall:
    attempts, said = turn.model, turn.model[-1].output_data.get("result") or {}
    kept = turn.plan.said if turn.plan is not None else Said()
    return ModelCall(
        model=model_of(turn, segment),
        attempts=tuple(tool_attempts(attempts)),
        usage=usage_of(turn, segment),
        answer=said.get("text") if said.get("mode") in ("done", "again", "invalid") and not said.get("calls") else None,
        text=kept.text if said.get("calls") else "",
        thinking=kept.thinking,
        passed_over=kept.passed_over,
    )


def _model_status(task: TaskRecord) -> str:
    """Conductor leaves a model call SCHEDULED while it makes it, and only notes when it began (3.32.3, tried)."""
    return "IN_PROGRESS" if task.status == "SCHEDULED" and task.start_time else task.status


def _tool_call(call: StoredCall) -> ToolCall:
    told = call.told or {}
    return ToolCall(
        call_id=call.planned.id,
        tool=call.planned.tool,
        args=call.planned.args,
        attempts=tuple(tool_attempts(call.made or (call.attempts if call.called else ()))),
        result=told.get("result"),
        error=None if "result" in told else told.get("error"),
        request=call.request,
        review=None if call.review is None else request_of(call.review),
        execution_id=call.called,
    )


def tool_attempts(tasks: Sequence[TaskRecord]) -> Iterator[Attempt]:
    """A call's tries: Conductor has a task for each worker that died; what a tool raised is noted inside of one."""
    number = 0
    for task in tasks:
        failures = task.notes.failures
        for place, failure in enumerate(failures):
            number += 1
            # The server knows when the first try was taken, and who asked for the last one.
            last = place == len(failures) - 1 and (failure.final or task.status == "SCHEDULED")
            yield Attempt(
                number=number,
                status="failed",
                scheduled=moment(task.scheduled_time),
                started=moment(task.start_time) if place == 0 and task.start_time else None,
                ended=moment(failure.at),
                worker=task.worker_id if last else None,
                error=failure.error,
            )
        if not failures or not failures[-1].final:
            number += 1
            yield _attempt(task, number, task.status, again=bool(failures))


_STATUS: dict[str, AttemptStatus] = {"SCHEDULED": "waiting", "IN_PROGRESS": "running", "COMPLETED": "done"}


def _attempt(task: TaskRecord, number: int, status: str, *, again: bool = False) -> Attempt:
    begun = task.start_time if not again and status != "SCHEDULED" else 0
    return Attempt(
        number=number,
        status=_STATUS.get(status, "failed"),
        scheduled=moment(task.scheduled_time),
        started=moment(begun) if begun else None,
        ended=moment(task.end_time) if task.end_time and status not in PENDING else None,
        worker=task.worker_id if status != "SCHEDULED" else None,
        error=reason_text(death(task)) if status not in (*PENDING, "COMPLETED") else None,
    )
