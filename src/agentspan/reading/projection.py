"""Events from the stored execution, and from nothing else.

The order is that of the run's structure, not of the clock: a turn's calls, then its results in
the order of the calls. So the sequence only ever grows at its end, every reader gets the same
one, and `seq` can serve as a cursor, before and after any restart.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord
from agentspan.reading.asked import asked_draft, decision_drafts, person_drafts
from agentspan.reading.budget import BudgetDrafts
from agentspan.reading.drafts import Answered, Draft, Within, end_drafts, untaken_drafts
from agentspan.reading.events import EventName
from agentspan.reading.handoffs import begun_drafts, ended_drafts, named
from agentspan.reading.run import StoredCall, StoredSegment, StoredTurn, death
from agentspan.reading.spent import answered
from agentspan.reading.team import team_drafts
from agentspan.stored.guard import Guarded
from agentspan.stored.names import TURNS_PER_SEGMENT
from agentspan.stored.notes import Mismatch
from agentspan.stored.output import Verdict
from agentspan.stored.plan import CALLING, Plan
from agentspan.stored.summary import Summary
from agentspan.stored.usage import Usage


def segment_drafts(segment: StoredSegment, now: int) -> Iterator[Draft | Within | Answered]:
    """The events of one segment (or of an agent without tools), as far as it got.

    Args:
        segment: The segment.
        now: Milliseconds since 1970: a call nobody has taken by now counts as waiting.
    """
    drafts = _segment_drafts(segment, now)
    yield from named(segment, drafts) if segment.is_handed else drafts


def _segment_drafts(segment: StoredSegment, now: int) -> Iterator[Draft | Within | Answered]:
    yield from _entry_drafts(segment, now)
    if segment.team is not None:
        yield from team_drafts(segment, segment.team)
        return
    budget = BudgetDrafts(segment, now)
    for turn in segment.turns:
        yield from budget.before(turn.step)
        yield from _answer_drafts(turn, segment, now)
        if turn.plan is None:
            return
        yield from begun_drafts(turn)
        yield from _said_drafts(turn, turn.plan)
        sent_back = yield from _check_drafts(segment, turn, now)
        if sent_back:
            continue
        if turn.plan.mode == "again":
            yield _again_draft(turn, turn.plan)
            continue
        if turn.plan.mode == "failed":
            passed = yield from _failed_drafts(turn)
            if passed:
                continue
            return
        if turn.plan.mode not in CALLING:
            return
        complete = yield from _call_drafts(turn, now)
        if not complete:
            return
        yield from ended_drafts(turn)
    yield from budget.before(segment.step + TURNS_PER_SEGMENT)


def _answer_drafts(turn: StoredTurn, segment: StoredSegment, now: int) -> Iterator[Draft | Answered]:
    yield from _model_drafts(turn, segment.model_retries, now)
    used = answered(turn.model[-1], segment)
    if used.total_tokens:
        yield Answered(used)


def _entry_drafts(segment: StoredSegment, now: int) -> Iterator[Draft]:
    """The check of the run's prompt, and what its guardrails said."""
    if segment.entry:
        yield from _worker_model_drafts(segment.entry, 1, now)
    checked = segment.entry_checked
    if checked is not None:
        yield from _guard_drafts(checked.guards, 1, segment.entry[-1].end_time)
    yield from _review_drafts(segment, segment.entry_asked, 1)
    if segment.told:
        yield from _worker_model_drafts(segment.told, 1, now)


def _review_drafts(segment: StoredSegment, asked: Sequence[TaskRecord], step: int) -> Iterator[Draft]:
    """The request to a person about what a guardrail refuses; a run that is retried goes on with the same one."""
    for task in asked[-1:]:
        yield from person_drafts(segment.parts.get(task.sub_workflow_id or ""), step)


def _check_drafts(segment: StoredSegment, turn: StoredTurn, now: int) -> Generator[Draft, None, bool]:
    """The check of the turn's answer, and what came of it; returns whether it was sent back."""
    if turn.checks:
        yield from _worker_model_drafts(turn.checks, turn.step, now)
    verdict, checked = turn.verdict, turn.checked
    known = checked or verdict
    if known is not None:
        at = turn.checks[-1].end_time if turn.checks else turn.planned_at
        yield from _guard_drafts(known.guards, turn.step, at)
    yield from _review_drafts(segment, turn.asked, turn.step)
    if verdict is None:
        return False
    if verdict.mode == "again":
        yield _sent_back_draft(turn, verdict)
    return verdict.mode == "again"


def _model_drafts(turn: StoredTurn, allowed: int, now: int) -> Iterator[Draft]:
    attempts, step = turn.model, turn.step
    yield Draft(type="step", step=step, at=attempts[0].scheduled_time)
    if turn.summary is not None:
        yield _summary_draft(turn, turn.summary)
    if attempts[0].in_worker:
        yield from _worker_model_drafts(attempts, step, now)
        return
    for number, task in enumerate(attempts, 1):
        if task.status in PENDING or task.status == "COMPLETED":
            return
        if task.status == "CANCELED":
            yield from end_drafts(attempts, number - 1, step)
            continue
        reason = reason_text(task.reason_for_incompletion or task.status)
        final = task.status != "FAILED" or task.retry_count >= allowed
        kind: EventName = "error" if final else "model_retry"
        yield Draft(type=kind, step=step, at=task.end_time, details={"error": reason, "attempt": number})
        if final and number < len(attempts):
            yield Draft(type="resumed", step=step, at=attempts[number].scheduled_time)


def _summary_draft(turn: StoredTurn, summary: Summary) -> Draft:
    used = Usage.of(summary.tokens) if summary.tokens else None
    details = {"text": summary.text, "error": summary.error}
    return Draft(type="summary", step=turn.step, at=turn.summaries[-1].end_time, details=details, usage=used)


def _worker_model_drafts(attempts: Sequence[TaskRecord], step: int, now: int) -> Iterator[Draft]:
    """The tries of a model call that workers make: what it raised is noted in its task, a death ends one."""
    for place, task in enumerate(attempts):
        yield from untaken_drafts(task, {}, step, now)
        for failure in task.notes.failures:
            kind: EventName = "error" if failure.final else "model_retry"
            details = {"error": failure.error, "attempt": failure.attempt}
            used = None if failure.tokens is None else Usage.of(failure.tokens)
            yield Draft(type=kind, step=step, at=failure.at, details=details, usage=used)
            if failure.final and place + 1 < len(attempts):
                yield Draft(type="resumed", step=step, at=attempts[place + 1].scheduled_time)
        if task.status == "CANCELED":
            yield from end_drafts(attempts, place, step)
        elif task.retried and not any(failure.final for failure in task.notes.failures):
            details = {"error": death(task), "attempt": task.retry_count + 1}
            yield Draft(type="model_retry", step=step, at=task.end_time, details=details)


def _said_drafts(turn: StoredTurn, plan: Plan) -> Iterator[Draft]:
    """Which models were passed over for the one that answered, and what it said beside its calls or its answer."""
    if plan.entered is not None:
        yield from _guard_drafts(plan.entered.guards, turn.step, turn.planned_at)
    failures = sum(len(task.notes.failures) for task in turn.model)
    for attempt, passed in enumerate(plan.said.passed_over, failures + 1):
        details = {"error": f"{passed.model}: {passed.error}", "attempt": attempt}
        yield Draft(type="model_retry", step=turn.step, at=turn.planned_at, details=details)
    if plan.said.thinking:
        yield Draft(type="thinking", step=turn.step, at=turn.planned_at, details={"text": plan.said.thinking})
    if plan.said.text and plan.calls:
        yield Draft(type="message", step=turn.step, at=turn.planned_at, details={"text": plan.said.text})


_AGAIN = {
    "failed": "The model's provider answered without an answer.",
    "empty": "The model's answer had no text.",
    "damaged": "The model's answer did not arrive whole.",
}


def _again_draft(turn: StoredTurn, plan: Plan) -> Draft:
    details = {"error": f"{_AGAIN[plan.problem or 'damaged']} It is asked again.", "attempt": plan.again}
    return Draft(type="model_retry", step=turn.step, at=turn.planned_at, details=details)


def _sent_back_draft(turn: StoredTurn, verdict: Verdict) -> Draft:
    details = {"error": f"The answer does not fit: {'; '.join(verdict.problems)}", "attempt": verdict.again}
    at = turn.checks[-1].end_time if turn.checks else turn.planned_at
    return Draft(type="model_retry", step=turn.step, at=at, details=details)


def _guard_drafts(guards: Iterable[Guarded], step: int, at: int, **who: Any) -> Iterator[Draft]:
    for guard in guards:
        details = {**who, "guardrail_name": guard.name, "position": guard.position}
        used = None if guard.usage is None else Usage.of(guard.usage)
        if guard.passed:
            yield Draft(type="guardrail_pass", step=step, at=at, details=details, usage=used)
        else:
            more = {"error": guard.message, "action": guard.action or "raise"}
            yield Draft(type="guardrail_fail", step=step, at=at, details={**details, **more}, usage=used)


def _failed_drafts(turn: StoredTurn) -> Generator[Draft, None, bool]:
    """The end of a model that gives no answer, as often as it was retried; returns whether the run went on."""
    attempts = turn.failed
    for number, task in enumerate(attempts):
        if task.status in PENDING:
            return False
        if task.status == "COMPLETED":
            return True
        reason = reason_text(task.reason_for_incompletion or task.status)
        yield Draft(type="error", step=turn.step, at=task.end_time, details={"error": reason})
        if number + 1 < len(attempts):
            yield Draft(type="resumed", step=turn.step, at=attempts[number + 1].scheduled_time)
    return False


def _call_drafts(turn: StoredTurn, now: int) -> Generator[Draft | Within | Answered, None, bool]:
    """The turn's calls and, in their order, what became of them; returns whether all are done."""
    for call in turn.calls:
        details = {**_who(call), "args": call.planned.args}
        yield Draft(type="tool_call", step=turn.step, at=turn.planned_at, details=details)
    for call in turn.calls:
        known = yield from _asked_drafts(call, turn.step, now)
        if not known:
            return False
    ends = 0  # of the run, told so far: each cut off all calls that were at work
    for place, call in enumerate(turn.calls):
        if not any(before.called for before in turn.calls[:place]):  # else their own runs tell it
            ends = yield from _begun_again_drafts(call, turn.step, ends)
        cut_off = yield from _attempts_drafts(call, turn.step, now, ends)
        ends = max(ends, cut_off)
        yield from _looked_at_drafts(call, turn.step)
        told = call.told
        if told is None or (call.attempts and call.attempts[-1].status == "CANCELED"):
            return False
        ended = call.attempts[-1].end_time if call.attempts else turn.planned_at
        yield _result_draft(call, turn.step, ended, told)
    return True


def _begun_again_drafts(call: StoredCall, step: int, ends: int) -> Generator[Draft, None, int]:
    """The run's ends that cut off a call which Conductor began again as the same task; how many are told now.

    It does so with a call beside the one at which a run that is retried goes on, and counts it.
    """
    first = call.made[0] if call.made else None
    times = 0 if first is None or first.is_part else first.retry_count
    for _ in range(ends, times):
        yield from end_drafts([first, first], 0, step) if first is not None else ()
    return max(ends, times)


def _attempts_drafts(
    call: StoredCall, step: int, now: int, ends: int
) -> Generator[Draft | Within | Answered, None, int]:
    """What became of a call's attempts; returns how often the run's end cut one off, of which `ends` are told."""
    cut_off = 0
    attempts = (*call.asked, *call.made)
    for place, task in enumerate(attempts):
        if place == len(call.asked):
            yield from _decision_drafts(call, step)
        yield from _attempt_drafts(task, call, step, now)
        if task.status == "CANCELED":
            cut_off += 1
            if cut_off > ends:
                yield from end_drafts(attempts, place, step)
    if not call.made:
        yield from _decision_drafts(call, step)
    if call.called is not None:
        yield Within(call.called, call.planned.tool)
    return cut_off


def _looked_at_drafts(call: StoredCall, step: int) -> Iterator[Draft]:
    """What guardrails said in the call that was made, and the request about what it gave."""
    if call.made:
        yield from _guard_drafts(call.made[-1].notes.guards, step, call.made[-1].end_time, **_who(call))
    yield from person_drafts(call.review, step, _who(call))


def _asked_drafts(call: StoredCall, step: int, now: int) -> Generator[Draft | Answered, None, bool]:
    """That a person is asked about a call; returns whether it is known that one is, or is not."""
    if not call.is_part or (call.called is not None and not call.asked):
        return True
    for task in call.checks:
        yield from untaken_drafts(task, _who(call), step, now)
        yield from (Answered(Usage.of(failure.tokens)) for failure in task.notes.failures if failure.tokens)
    if call.checks:
        yield from _guard_drafts(call.checks[-1].notes.guards, step, call.checks[-1].end_time, **_who(call))
    request = call.request
    if call.part is None or request is None:
        return call.told is not None or bool(call.made)
    yield asked_draft(call.part, request, _who(call), step)
    return True


def _decision_drafts(call: StoredCall, step: int) -> Iterator[Draft]:
    request = call.request
    if call.part is not None and request is not None:
        yield from decision_drafts(call.part, request, _who(call), step)


def _who(call: StoredCall) -> dict[str, Any]:
    return {"call_id": call.planned.id, "tool_name": call.planned.tool}


def _attempt_drafts(task: TaskRecord, call: StoredCall, step: int, now: int) -> Iterator[Draft | Answered]:
    notes = task.notes
    yield from untaken_drafts(task, _who(call), step, now)
    yield from _mismatch_drafts(notes.mismatch, call, step)
    for failure in notes.failures:
        if failure.tokens is not None:  # of guardrails that ask models
            yield Answered(Usage.of(failure.tokens))
        if failure.final:
            return
        details = {**_who(call), "error": failure.error, "attempt": failure.attempt}
        yield Draft(type="tool_retry", step=step, at=failure.at, details=details)
    if task.retried and task.status != "CANCELED":
        details = {**_who(call), "error": death(task), "attempt": task.retry_count + 1}
        yield Draft(type="tool_retry", step=step, at=task.end_time, details=details)


def _mismatch_drafts(found: Mismatch | None, call: StoredCall, step: int) -> Iterator[Draft]:
    if found is None:
        return
    yield Draft(type="waiting", step=step, at=found.at, details={**_who(call), "error": found.why})
    if found.until is not None:
        yield Draft(type="resumed", step=step, at=found.until, details=_who(call))


def _result_draft(call: StoredCall, step: int, at: int, told: dict[str, Any]) -> Draft:
    details = _who(call)
    if "result" in told:
        details["result"] = told["result"]
    else:
        details |= {"result": {"error": told["error"]}, "error": told["error"]}
    return Draft(type="tool_result", step=step, at=at, details=details)
