"""Events from the stored execution, and from nothing else.

The order is that of the run's structure, not of the clock: a turn's calls, then its results in
the order of the calls. So the sequence only ever grows at its end, every reader gets the same
one, and `seq` can serve as a cursor, before and after any restart.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.reading.events import Event, EventName
from agentspan.stored.lease import RESPONSE_TIMEOUT
from agentspan.stored.names import tool_of_task, turn_of

Turn = dict[str, dict[int, list[TaskRecord]]]
"""One turn's tasks: kind, number of the call, attempts."""

WAITING_AFTER = 5.0
"""Seconds a tool call may wait for a worker before that becomes an event."""

CLOCKS_DIFFER = 2.0
"""Seconds by which a reader may take the server's clock to be ahead of what it is: its answers tell the second, and the
nodes of a cluster differ. So no reader shows a wait that the others never see."""

ENDED_THERE = "The run was ended from outside, and retried later."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event before it has its place in the sequence."""

    type: EventName
    step: int
    at: int
    details: dict[str, Any] = field(default_factory=dict)

    def numbered(self, execution_id: str, seq: int) -> Event:
        """The event at its place."""
        moment = datetime.fromtimestamp(self.at / 1000, UTC)
        return Event(
            type=self.type,
            execution_id=execution_id,
            seq=seq,
            step=self.step,
            timestamp=moment,
            **self.details,
        )


def segment_drafts(segment: WorkflowRecord, now: int) -> Iterator[Draft]:
    """The events of one segment (or of an agent without tools), as far as it got.

    Args:
        segment: The stored execution, with its tasks.
        now: Milliseconds since 1970: a call nobody has taken by now counts as waiting.
    """
    turns = by_turn(segment.tasks)
    before = int(segment.input.get("steps") or 0)
    for turn, tasks in sorted(turns.items()):
        if not tasks.get("llm"):
            return
        yield from _model_drafts(tasks["llm"][1], before + turn, segment)
        plan = _last(tasks.get("plan", {}).get(1, []))
        if plan is None or plan.status != "COMPLETED":
            return
        planned = plan.output_data["result"]
        if planned["mode"] == "again":
            yield _again_draft(planned, plan, before + turn)
            continue
        if planned["mode"] == "failed":
            passed = yield from _failed_drafts(tasks.get("failed", {}).get(1, []), before + turn)
            if passed:
                continue
            return
        if planned["mode"] not in ("one", "many", "none"):
            return
        complete = yield from _call_drafts(planned, plan, tasks, before + turn, now)
        if not complete:
            return


def by_turn(tasks: Iterable[TaskRecord]) -> dict[int, Turn]:
    """A segment's tasks by turn, kind (`llm`, `plan`, `tool`, …) and call; attempts oldest first."""
    turns: dict[int, Turn] = {}
    for task in tasks:
        place = turn_of(task.reference_task_name)
        if place is not None:
            kind, turn, call = place
            turns.setdefault(turn, {}).setdefault(kind, {}).setdefault(call, []).append(task)
    return turns


def _last(attempts: list[TaskRecord]) -> TaskRecord | None:
    return attempts[-1] if attempts else None


def _model_drafts(attempts: list[TaskRecord], step: int, segment: WorkflowRecord) -> Iterator[Draft]:
    allowed = _model_retries(segment)
    yield Draft(type="step", step=step, at=attempts[0].scheduled_time)
    for number, task in enumerate(attempts, 1):
        if task.status in PENDING or task.status == "COMPLETED":
            return
        if task.status == "CANCELED":
            yield from _end_drafts(attempts, number - 1, step)
            continue
        reason = reason_text(task.reason_for_incompletion or task.status)
        final = task.status != "FAILED" or task.retry_count >= allowed
        kind: EventName = "error" if final else "model_retry"
        yield Draft(type=kind, step=step, at=task.end_time, details={"error": reason, "attempt": number})
        if final and number < len(attempts):
            yield Draft(type="resumed", step=step, at=attempts[number].scheduled_time)


_AGAIN = {
    "failed": "The model's provider answered without an answer.",
    "empty": "The model's answer had no text.",
    "damaged": "The model's answer did not arrive whole.",
}


def _again_draft(planned: dict[str, Any], plan: TaskRecord, step: int) -> Draft:
    details = {"error": f"{_AGAIN[planned['problem']]} It is asked again.", "attempt": planned["again"]}
    return Draft(type="model_retry", step=step, at=plan.end_time, details=details)


def _failed_drafts(attempts: list[TaskRecord], step: int) -> Generator[Draft, None, bool]:
    """The end of a model that gives no answer, as often as it was retried; returns whether the run went on."""
    for number, task in enumerate(attempts):
        if task.status in PENDING:
            return False
        if task.status == "COMPLETED":
            return True
        reason = reason_text(task.reason_for_incompletion or task.status)
        yield Draft(type="error", step=step, at=task.end_time, details={"error": reason})
        if number + 1 < len(attempts):
            yield Draft(type="resumed", step=step, at=attempts[number + 1].scheduled_time)
    return False


def _end_drafts(attempts: list[TaskRecord], place: int, step: int) -> Iterator[Draft]:
    """What the run's end left of an attempt it cut off: nothing, as the end itself is told last, unless it went on."""
    if place + 1 < len(attempts):
        yield Draft(type="error", step=step, at=attempts[place].end_time, details={"error": ENDED_THERE})
        yield Draft(type="resumed", step=step, at=attempts[place + 1].scheduled_time)


def _model_retries(segment: WorkflowRecord) -> int:
    for task in segment.workflow_definition.get("tasks", []):
        if task.get("type") == "LLM_CHAT_COMPLETE":
            return int(task.get("retryCount") or 0)  # the server overwrites the definition's own
    return 0


def _call_drafts(
    planned: dict[str, Any],
    plan: TaskRecord,
    tasks: Turn,
    step: int,
    now: int,
) -> Generator[Draft, None, bool]:
    """The turn's calls and, in their order, what became of them; returns whether all are done."""
    calls = planned["calls"]
    for call in calls:
        details = {**_who(call), "args": call["args"]}
        yield Draft(type="tool_call", step=step, at=plan.end_time, details=details)
    ends = 0  # of the run, told so far: each cut off all calls that were at work
    for number, call in enumerate(calls, 1):
        if call["task"] is None:
            yield _result_draft(call, step, plan.end_time, {"error": call["error"]})
            continue
        attempts = tasks.get("tool", {}).get(number, [])
        cut_off = 0
        for place, task in enumerate(attempts):
            yield from _attempt_drafts(task, call, step, now)
            if task.status == "CANCELED":
                cut_off += 1
                if cut_off > ends:
                    yield from _end_drafts(attempts, place, step)
        ends = max(ends, cut_off)
        if not attempts or attempts[-1].status in PENDING or attempts[-1].status == "CANCELED":
            return False
        last = attempts[-1]
        yield _result_draft(call, step, last.end_time, output_of(last))
    return True


def _who(call: dict[str, Any]) -> dict[str, Any]:
    name = tool_of_task(call["task"]) if call["task"] else call["name"]
    return {"call_id": call["id"], "tool_name": name}


def _attempt_drafts(task: TaskRecord, call: dict[str, Any], step: int, now: int) -> Iterator[Draft]:
    yield from _waiting_drafts(task, call, step, now)
    yield from _mismatch_drafts(task, call, step)
    for failure in task.output_data.get("failures", []):
        details = {**_who(call), "error": failure["error"], "attempt": failure["attempt"]}
        if failure.get("final"):
            return
        yield Draft(type="tool_retry", step=step, at=failure["at"], details=details)
    if task.retried and task.status != "CANCELED":
        details = {
            **_who(call),
            "error": death(task),
            "attempt": task.retry_count + 1,
        }
        yield Draft(type="tool_retry", step=step, at=task.end_time, details=details)


def death(task: TaskRecord) -> str:
    """Why an attempt ended that reported nothing."""
    reason = task.reason_for_incompletion or ""
    if task.status == "TIMED_OUT" and reason.startswith("responseTimeout"):
        return f"Its worker {task.worker_id} died: no heartbeat for {RESPONSE_TIMEOUT} s."
    return reason or f"The attempt ended as {task.status}."


def _waiting_drafts(task: TaskRecord, call: dict[str, Any], step: int, now: int) -> Iterator[Draft]:
    due = task.scheduled_time + 1000 * task.callback_after_seconds
    taken = task.start_time or task.end_time or now - int(CLOCKS_DIFFER * 1000)
    if taken - due < WAITING_AFTER * 1000:
        return
    at = due + int(WAITING_AFTER * 1000)
    yield Draft(type="waiting", step=step, at=at, details={**_who(call), "error": "No worker has taken it."})
    if task.start_time:
        yield Draft(type="resumed", step=step, at=task.start_time, details=_who(call))


@dataclass(frozen=True)
class Mismatch:
    """What a worker noted of a call that does not fit the version of the tool that it serves; times by its clock.

    Attributes:
        at: When the first one handed it back.
        why: Which version it serves, and what does not fit.
        open: Whether no worker has taken it since.
        until: When one took it.
    """

    at: int
    why: str
    open: bool
    until: int | None = None


def mismatch_of(task: TaskRecord) -> Mismatch | None:
    """The note on a call that was handed back because of the tool's version."""
    noted = task.output_data.get("mismatch")
    return None if noted is None else Mismatch(**noted)


def _mismatch_drafts(task: TaskRecord, call: dict[str, Any], step: int) -> Iterator[Draft]:
    found = mismatch_of(task)
    if found is None:
        return
    yield Draft(type="waiting", step=step, at=found.at, details={**_who(call), "error": found.why})
    if found.until is not None:
        yield Draft(type="resumed", step=step, at=found.until, details=_who(call))


def output_of(task: TaskRecord) -> dict[str, Any]:
    """What the model is told of a finished call: `result` or `error`."""
    if "result" in task.output_data or "error" in task.output_data:
        return task.output_data
    return {"error": task.reason_for_incompletion or f"The task ended as {task.status}."}


def _result_draft(call: dict[str, Any], step: int, at: int, output: dict[str, Any]) -> Draft:
    details = _who(call)
    if "result" in output:
        details["result"] = output["result"]
    else:
        details |= {"result": {"error": output["error"]}, "error": output["error"]}
    return Draft(type="tool_result", step=step, at=at, details=details)
