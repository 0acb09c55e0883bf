"""The effect ledger: every call that may have changed something, and whether it may have done so more than once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from agentspan.engine.client import Conductor
from agentspan.engine.failure import reason_text
from agentspan.engine.records import TaskRecord
from agentspan.errors import NotFound
from agentspan.reading.drafts import Within
from agentspan.reading.durations import moment
from agentspan.reading.history import History
from agentspan.reading.ledger import CutOff, Effect, EffectState
from agentspan.reading.run import StoredCall, StoredSegment, death
from agentspan.reading.team import called_in, member_of
from agentspan.reading.turns import tool_attempts
from agentspan.schema.arguments import UNFIT
from agentspan.stored.inputs import CallInput
from agentspan.stored.intervention import Intervention, Verb, interventions_of


def effects_in(client: Conductor, execution_id: str) -> list[Effect]:
    """The effect ledger of a run, and of the agents that it has called, in order.

    Raises:
        NotFound: The server has no such run.
    """
    found: list[Effect] = []
    for segment in History(client, execution_id).segments():
        found[:0] = chain.from_iterable(_within(client, each) for each in _effects_of(segment))
    return found


def _within(client: Conductor, found: Effect | Within) -> list[Effect]:
    if isinstance(found, Effect):
        return [found]
    try:
        effects = effects_in(client, found.execution_id)
    except NotFound:  # somebody is deleting it
        return []
    return [replace(each, path=(found.agent, *each.path)) for each in effects]


def _effects_of(segment: StoredSegment) -> Iterator[Effect | Within]:
    """The calls of one segment that may have had an effect, in the order the model asked for them.

    An agent that was called, or a member of a team, stands for the calls of its own run.
    """
    if segment.team is not None:
        called = [(task.sub_workflow_id, member_of(task)) for task in called_in(segment.record)]
        yield from (Within(execution_id, name) for execution_id, name in called if execution_id)
    for turn in segment.turns:
        for call in turn.calls:
            begun = [task for task in call.made if _begun(task)]
            if call.called is not None:
                yield Within(call.called, call.planned.tool)
            elif begun:
                yield _effect(turn.step, call, begun)


def _effect(step: int, call: StoredCall, begun: list[TaskRecord]) -> Effect:
    told = call.told or {}
    return Effect(
        key=begun[-1].key,
        step=step,
        call_id=call.planned.id,
        tool=call.planned.tool,
        args=CallInput.of(begun[-1].input_data).args,
        state=_state(call.made[-1]),
        tries=sum(map(_begun, begun)),
        attempts=tuple(each for each in tool_attempts(begun) if each.status != "waiting"),
        cut_off=tuple(cut for task in call.made for cut in _cuts(task)),
        interventions=tuple(each for task in call.made for each in interventions_of(task.output_data)),
        error=None if "result" in told else told.get("error"),
    )


def _state(last: TaskRecord) -> EffectState:
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
    "retried": "{} had it tried again.",
}


def _cuts(task: TaskRecord) -> Iterator[CutOff]:
    for each in interventions_of(task.output_data):
        if each.cut_off is not None:
            yield CutOff(at=moment(each.at), worker=each.cut_off, why=_WHY[each.verb].format(each.by))
    if _was_cut_off(task):
        yield CutOff(at=moment(task.end_time), worker=task.worker_id, why=reason_text(death(task)))
