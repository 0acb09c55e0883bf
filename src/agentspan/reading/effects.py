"""The effect ledger: every call that may have changed something, and whether it may have done so more than once."""

from __future__ import annotations

from collections.abc import Iterator

from agentspan.engine.failure import reason_text
from agentspan.engine.records import TaskRecord
from agentspan.reading.durations import moment
from agentspan.reading.ledger import CutOff, Effect, EffectState
from agentspan.reading.run import StoredCall, StoredSegment, death
from agentspan.reading.turns import tool_attempts
from agentspan.schema.arguments import UNFIT
from agentspan.stored.intervention import Intervention, Verb, interventions_of
from agentspan.stored.names import call_key


def effects_of(segment: StoredSegment) -> Iterator[Effect]:
    """The calls of one segment that may have had an effect, in the order the model asked for them."""
    for turn in segment.turns:
        for call in turn.calls:
            tries = sum(_begun(task) for task in call.attempts)
            if tries:
                yield _effect(segment.execution_id, turn.step, call, tries)


def _effect(execution_id: str, step: int, call: StoredCall, tries: int) -> Effect:
    told = call.told or {}
    begun = [task for task in call.attempts if _begun(task)]
    return Effect(
        key=call_key(execution_id, step, call.attempts[-1].reference_task_name),
        step=step,
        call_id=call.planned.id,
        tool=call.planned.tool,
        args=call.planned.args,
        state=_state(call),
        tries=tries,
        attempts=tuple(each for each in tool_attempts(begun) if each.status != "waiting"),
        cut_off=tuple(cut for task in call.attempts for cut in _cuts(task)),
        interventions=tuple(each for task in call.attempts for each in interventions_of(task.output_data)),
        error=None if "result" in told else told.get("error"),
    )


def _state(call: StoredCall) -> EffectState:
    last = call.attempts[-1]
    match last.status:
        case "SCHEDULED":
            return "waiting"
        case "IN_PROGRESS":
            return "running"
        case "COMPLETED":
            return "done"
        case _:
            return "unknown" if _was_cut_off(last) else "failed"


def _begun(task: TaskRecord) -> int:
    """How often the tool's function was begun in one of Conductor's tries."""
    raised = [failure for failure in task.notes.failures if not failure.error.startswith(UNFIT)]
    handed_back = sum(each.verb == "handed_back" for each in interventions_of(task.output_data))
    return len(raised) + handed_back + _last_was_begun(task)


def _last_was_begun(task: TaskRecord) -> bool:
    """Whether there was a try after those that raised or were handed back."""
    failures, ended = task.notes.failures, _ended_by_a_person(task)
    if failures and failures[-1].final:
        return False
    if ended is not None:
        return ended.cut_off is not None
    return task.status != "SCHEDULED" and task.start_time > 0


def _ended_by_a_person(task: TaskRecord) -> Intervention | None:
    found = interventions_of(task.output_data)
    return found[-1] if found and found[-1].verb != "handed_back" else None


def _was_cut_off(task: TaskRecord) -> bool:
    return task.status in ("TIMED_OUT", "CANCELED") and _last_was_begun(task)


_WHY: dict[Verb, str] = {
    "handed_back": "Its worker stopped.",
    "answered": "{} answered in its place.",
    "skipped": "{} skipped it.",
    "sent_back": "{} sent it back.",
}


def _cuts(task: TaskRecord) -> Iterator[CutOff]:
    for each in interventions_of(task.output_data):
        if each.cut_off is not None:
            yield CutOff(at=moment(each.at), worker=each.cut_off, why=_WHY[each.verb].format(each.by))
    if _was_cut_off(task):
        yield CutOff(at=moment(task.end_time), worker=task.worker_id, why=reason_text(death(task)))
