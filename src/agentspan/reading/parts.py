"""The workflows of their own that calls of a run are made in: those that need a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.errors import NotFound
from agentspan.stored.pool import PoolNotes

NO_PARTS: Mapping[str, WorkflowRecord] = {}


class Parts:
    """Reads them; one that has ended is read once."""

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._ended: dict[str, WorkflowRecord] = {}

    def of(self, tasks: Iterable[TaskRecord]) -> Mapping[str, WorkflowRecord]:
        """Those of a segment's calls, by their ids.

        Args:
            tasks: The segment's tasks.
        """
        tasks = list(tasks)
        wanted = {task.sub_workflow_id for task in tasks if task.is_part and task.sub_workflow_id}
        wanted |= {request for task in tasks for request in waited_for(task)}
        found = self._found(wanted)
        found |= self._found({begun for record in found.values() for begun in _reviews(record)})
        self._ended = {part_id: record for part_id, record in found.items() if record.status == "COMPLETED"}
        return found

    def _found(self, wanted: Iterable[str]) -> dict[str, WorkflowRecord]:
        return {part_id: record for part_id in wanted if (record := self._read(part_id)) is not None}

    def _read(self, part_id: str) -> WorkflowRecord | None:
        try:
            return self._ended.get(part_id) or self._client.workflow(part_id)
        except NotFound:  # somebody has deleted it
            return None


def waited_for(look: TaskRecord) -> tuple[str, ...]:
    """The requests of other members of a team by which a look at their budget was put off; none of any other task."""
    if look.kind != "pool":
        return ()
    done = look.output_data.get("result") or {}
    return tuple(done.get("waits_for") or PoolNotes.of(look.output_data).waits_for)


def _reviews(part: WorkflowRecord) -> list[str]:
    """The requests of a call about what its tool gave."""
    return [task.sub_workflow_id for task in part.tasks if task.kind == "ask_result" and task.sub_workflow_id]
