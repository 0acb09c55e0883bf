"""What a run has used of its budget, and what was decided when it was used up, as events."""

from __future__ import annotations

from collections.abc import Iterator

from agentspan.engine.records import TaskRecord
from agentspan.reading.asked import others_drafts, person_drafts
from agentspan.reading.drafts import Draft, end_drafts, untaken_drafts
from agentspan.reading.parts import waited_for
from agentspan.reading.run import StoredSegment
from agentspan.stored.budget import Spent


class BudgetDrafts:
    """The events of a segment's budget, each told once, at its place before a turn.

    Args:
        segment: The segment.
        now: Milliseconds since 1970: a look that nobody has taken by now counts as waiting.
    """

    def __init__(self, segment: StoredSegment, now: int) -> None:
        self._segment = segment
        self._now = now
        self._tasks = [task for task in segment.record.tasks if task.kind in ("spent", "pool", "budget")]

    def before(self, step: int) -> Iterator[Draft]:
        """Those before a turn that are not told yet.

        Args:
            step: Which one of the run.
        """
        while self._tasks and self._step(self._tasks[0]) <= step:
            task = self._tasks.pop(0)
            at = self._step(task)
            if task.kind == "pool":
                at_first = task.model_copy(update={"callback_after_seconds": 0})  # before it was put off
                yield from untaken_drafts(at_first, {}, at, self._now)
                for request in waited_for(task):
                    yield from others_drafts(self._segment.parts.get(request), at)
            if task.kind in ("spent", "pool"):
                yield from _warnings(task, at)
                continue
            yield from person_drafts(self._segment.parts.get(task.sub_workflow_id or ""), at)
            if task.status == "CANCELED":  # a run that is retried asks in another request
                again = [each for each in self._tasks if each.reference_task_name == task.reference_task_name]
                yield from end_drafts([task, *again], 0, at)

    def _step(self, task: TaskRecord) -> int:
        return self._segment.given.steps + (task.place or ("", 0, 0))[1]


def _warnings(task: TaskRecord, step: int) -> Iterator[Draft]:
    found = task.output_data.get("result") or {}
    spent, team = Spent.of(found), found.get("team")
    for limit in spent.warn:
        details = {"text": f"Nearly used up: {spent.told(limit)}."}
        once = None if team is None else ("budget", team, limit, spent.limits[limit])  # members tell it all at once
        yield Draft(type="budget", step=step, at=task.end_time, details=details, once=once)
