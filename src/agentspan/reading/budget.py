"""What a run has used of its budget, and what was decided when it was used up: as events, and in words."""

from __future__ import annotations

from collections.abc import Iterator

from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.reading.drafts import Draft, end_drafts
from agentspan.reading.requests import asking, decided_at, request_of
from agentspan.reading.run import StoredSegment
from agentspan.stored.budget import BUDGET, Spent, extension_told
from agentspan.stored.person import PERSON, Decision


class BudgetDrafts:
    """The events of a segment's budget, each told once, at its place before a turn.

    Args:
        segment: The segment.
    """

    def __init__(self, segment: StoredSegment) -> None:
        self._segment = segment
        self._tasks = [task for task in segment.record.tasks if task.kind in ("spent", "budget")]

    def before(self, step: int) -> Iterator[Draft]:
        """Those before a turn that are not told yet.

        Args:
            step: Which one of the run.
        """
        while self._tasks and self._step(self._tasks[0]) <= step:
            task = self._tasks.pop(0)
            if task.kind == "spent":
                yield from _warnings(task, self._step(task))
            else:
                yield from _asked(self._segment.parts.get(task.sub_workflow_id or ""), self._step(task))

    def _step(self, task: TaskRecord) -> int:
        return self._segment.given.steps + (task.place or ("", 0, 0))[1]


def _warnings(task: TaskRecord, step: int) -> Iterator[Draft]:
    spent = Spent.of(task.output_data.get("result") or {})
    for limit in spent.warn:
        yield Draft(
            type="budget", step=step, at=task.end_time, details={"text": f"Nearly used up: {spent.told(limit)}."}
        )


def _asked(part: WorkflowRecord | None, step: int) -> Iterator[Draft]:
    request = None if part is None else request_of(part)
    if part is None or request is None:
        return
    who = {"call_id": BUDGET, "tool_name": BUDGET, "request_id": request.id}
    attempts = [task for task in part.tasks if task.reference_task_name == PERSON]
    details = {**who, "error": asking(request), "args": request.args}
    yield Draft(type="waiting", step=step, at=attempts[0].scheduled_time, details=details)
    for place, task in enumerate(attempts):
        if task.status == "CANCELED":
            yield from end_drafts(attempts, place, step)
    decision = request.decision
    if decision is not None:
        said = {"approved": decision.approved, "by": decision.by, "text": decision_told(decision)}
        yield Draft(type="decision", step=step, at=decided_at(part), details={**who, **said})


def decision_told(decision: Decision) -> str:
    """What was decided about a budget, in a sentence."""
    what = "The run is ended."
    if decision.approved:
        more = decision.extended
        what = f"Extended by {extension_told(more)}." if more else "The model answers with what there is."
    why = " Nobody decided in time." if decision.overdue else f" {decision.reason}" if decision.reason else ""
    return what + why
