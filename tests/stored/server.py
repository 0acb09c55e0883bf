"""A recorded run in the place of the server: answers what a reader asks for, from the file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.errors import NotFound

RUNS = sorted((Path(__file__).parent / "runs").glob("*.json"))


class RecordedRun:
    """One recording, which can be read like a server.

    Attributes:
        asked: What was read, in order.
    """

    def __init__(self, path: Path) -> None:
        self.recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.execution_id: str = self.recording["execution_id"]
        self.reached = True
        self.asked: list[str] = []
        self._executions = {name: self._whole(raw) for name, raw in self.recording["executions"].items()}

    def _whole(self, raw: dict[str, Any]) -> WorkflowRecord:
        definition = self.recording["definitions"][raw["workflowDefinition"]]
        return WorkflowRecord.model_validate({**raw, "workflowDefinition": definition})

    def workflow(self, execution_id: str, *, tasks: bool = True) -> WorkflowRecord:
        self.asked.append(execution_id)
        found = self._executions.get(execution_id)
        if found is None:
            raise NotFound(f"The recording has no execution {execution_id!r}.", status=404)
        return found.model_copy(deep=True) if tasks else found.model_copy(update={"tasks": []})

    def tasks(self, execution_id: str, start: int) -> list[TaskRecord]:
        return self.workflow(execution_id).tasks[start:]

    def status(self, execution_id: str) -> str:
        return self.workflow(execution_id).status

    def newest_segment(self) -> str:
        tasks = self._executions[self.execution_id].tasks
        return next(task.sub_workflow_id for task in reversed(tasks) if task.sub_workflow_id)

    def now(self) -> float:
        return time.time()

    def polls(self, task_name: str) -> list[Any]:
        return []
