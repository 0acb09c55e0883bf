"""What a run has used of its budget, and what was decided when it was used up, as events."""

from __future__ import annotations

from collections.abc import Iterator

from agentspan.engine.records import TaskRecord
from agentspan.reading.asked import person_drafts
from agentspan.reading.drafts import Draft, end_drafts
from agentspan.reading.run import StoredSegment
from agentspan.stored.budget import Spent


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
            at = self._step(task)
            if task.kind == "spent":
                yield from _warnings(task, at)
                continue
            yield from person_drafts(self._segment.parts.get(task.sub_workflow_id or ""), at)
            if task.status == "CANCELED":  # a run that is retried asks in another request
                again = [each for each in self._tasks if each.reference_task_name == task.reference_task_name]
                yield from end_drafts([task, *again], 0, at)

    def _step(self, task: TaskRecord) -> int:
        return self._segment.given.steps + (task.place or ("", 0, 0))[1]


def _warnings(task: TaskRecord, step: int) -> Iterator[Draft]:
    spent = Spent.of(task.output_data.get("result") or {})
    for limit in spent.warn:
        yield Draft(
            type="budget", step=step, at=task.end_time, details={"text": f"Nearly used up: {spent.told(limit)}."}
        )
