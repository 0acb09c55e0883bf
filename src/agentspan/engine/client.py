"""The one door to Conductor: what can be asked of it, by noun. Nothing here knows what an agent is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from agentspan.engine.answers import AWAY, away, no_conductor, refused, understood, unreachable
from agentspan.engine.http import Connection
from agentspan.engine.records import PollRecord, RunSummary, TaskRecord, WorkflowRecord
from agentspan.errors import Conflict, NotFound, ServerRejected, ServerUnreachable
from agentspan.stored.status import RunStatus

Json = dict[str, Any]

_TASKS = TypeAdapter(list[TaskRecord])
_POLLS = TypeAdapter(list[PollRecord])
_RUNS = TypeAdapter(list[RunSummary])
_STATUS: TypeAdapter[RunStatus] = TypeAdapter(RunStatus)

HUNG = 10.0
"""Seconds to wait for an answer that is small, where there is another node to ask."""

REPORT = 2.5
"""Seconds to wait until a report was taken, where there is another node: the call's lease of 5 s runs meanwhile."""

BUSY = "busy"
"""The domain of polls that only say that a worker has no place free."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ALL_TASKS = 1_000_000  # the server wants a number
_NAMES_IN_URL = 32  # of 165 characters at most; Tomcat takes 8 KB for a request and its headers


class Conductor(Connection):
    """A Conductor server; safe to share between threads."""

    # ---- definitions --------------------------------------------------------------------------------

    def workflow_definition(self, name: str, version: int | None = None) -> Json | None:
        """A registered workflow definition, the newest without `version`; None when there is none."""
        query = [] if version is None else [("version", version)]
        return self._find(f"/metadata/workflow/{_segment(name)}", query)

    def workflow_versions(self, name: str) -> list[int]:
        """The versions registered under a name, ascending."""
        found = self.call("GET", "/metadata/workflow/names-and-versions") or {}
        with understood(self.settings.address, "the list of workflows"):
            return sorted(int(item["version"]) for item in found.get(name, []))

    def create_workflow_definition(self, definition: Json) -> bool:
        """Register a new (name, version); False when somebody else has just done it.

        Creation is the engine's one atomic compare-and-set: of 40 at once on SQLite exactly one
        got 200, the others 409 or 500 (Conductor 3.32.1, tried).
        """
        try:
            self.call("POST", "/metadata/workflow", body=definition)
        except Conflict:
            return False
        except ServerRejected as error:
            if error.status == 500 and self.workflow_definition(definition["name"], definition["version"]) is not None:
                return False
            raise
        return True

    def delete_workflow_definition(self, name: str, version: int) -> None:
        """Remove one version of a workflow definition."""
        self.call("DELETE", f"/metadata/workflow/{_segment(name)}/{version}")

    def task_definition(self, name: str) -> Json | None:
        """A registered task definition, None when there is none."""
        return self._find(f"/metadata/taskdefs/{_segment(name)}")

    def put_task_definition(self, definition: Json) -> None:
        """Create or replace a task definition."""
        self.call("POST", "/metadata/taskdefs", body=[definition])

    def task_definitions(self) -> list[Json]:
        """All registered task definitions."""
        return list(self.call("GET", "/metadata/taskdefs") or [])

    # ---- executions ---------------------------------------------------------------------------------

    def start_workflow(self, name: str, version: int, inputs: Json, correlation_id: str | None = None) -> str:
        """Start an execution of one exact version; its id.

        Raises:
            ServerUnreachable: Also when the answer was lost, and the execution may have been started.
        """
        request: Json = {"name": name, "version": version, "input": inputs}
        if correlation_id is not None:
            request["correlationId"] = correlation_id
        return str(self.call("POST", "/workflow", body=request))

    def workflow(self, execution_id: str, *, tasks: bool = True) -> WorkflowRecord:
        """An execution as it is stored.

        Raises:
            NotFound: The server has no execution of that id.
        """
        # Tomcat answers 400 or 405 to some of what cannot be an id.
        found = (
            self._find(f"/workflow/{execution_id}", [("includeTasks", tasks)]) if _ID.fullmatch(execution_id) else None
        )
        if found is None:
            raise NotFound(
                f"The server at {self.settings.address} has no execution {execution_id!r}.",
                hint="`agentspan agent list` shows the executions it has.",
                status=404,
            )
        with understood(self.settings.address, "an execution"):
            return WorkflowRecord.model_validate(found)

    def status(self, execution_id: str) -> RunStatus:
        """How an execution stands; little to read, however much it holds."""
        found = self.call("GET", f"/workflow/{_segment(execution_id)}/status")
        with understood(self.settings.address, "the status of an execution"):
            return _STATUS.validate_python(found["status"])

    def tasks(self, execution_id: str, start: int) -> list[TaskRecord]:
        """The tasks of an execution in the order they were scheduled, without the first `start` ones."""
        query = [("start", start), ("count", _ALL_TASKS)]
        found = self.call("GET", f"/workflow/{_segment(execution_id)}/tasks", query)
        with understood(self.settings.address, "tasks"):
            return _TASKS.validate_python(found["results"])

    def correlated(self, name: str, correlation_id: str) -> list[WorkflowRecord]:
        """A workflow's executions with this id that no other one began, oldest first; exact rows, not the index."""
        path = f"/workflow/{_segment(name)}/correlated/{_segment(correlation_id)}"
        found = self.call("GET", path, [("includeClosed", True), ("includeTasks", False)]) or []
        with understood(self.settings.address, "executions"):
            runs = sorted(map(WorkflowRecord.model_validate, found), key=lambda run: run.create_time)
        return [run for run in runs if run.parent_workflow_id is None]  # a part has its run's correlation id

    def search(self, query: str, *, start: int = 0, size: int = 20) -> list[RunSummary]:
        """Executions by the server's index, newest first."""
        found = self.call(
            "GET",
            "/workflow/search",
            [
                ("query", query),
                ("start", start),
                ("size", size),
                ("sort", "startTime:DESC"),
                ("freeText", "*"),
            ],
        )
        with understood(self.settings.address, "the index of executions"):
            return _RUNS.validate_python(found.get("results", []))

    def pause(self, execution_id: str) -> None:
        """Have the engine schedule no more of an execution's tasks; those of its sub-workflows go on."""
        self.call("PUT", f"/workflow/{_segment(execution_id)}/pause")

    def resume(self, execution_id: str) -> None:
        """Go on with an execution that was paused."""
        self.call("PUT", f"/workflow/{_segment(execution_id)}/resume")

    def retry(self, execution_id: str) -> None:
        """Go on with an execution at its tasks that failed, and with those above it."""
        self.call("POST", f"/workflow/{_segment(execution_id)}/retry", [("resumeSubworkflowTasks", False)])

    def decide(self, execution_id: str) -> None:
        """Make the engine look at an execution now."""
        self.call("PUT", f"/workflow/decide/{_segment(execution_id)}", fail_over=HUNG)

    def terminate(self, execution_id: str, reason: str) -> None:
        """End an execution."""
        self.call("DELETE", f"/workflow/{_segment(execution_id)}", [("reason", reason)])

    def remove(self, execution_id: str) -> None:
        """Delete an execution, whatever its state, with its tasks and its row in the index."""
        self.call("DELETE", f"/workflow/{_segment(execution_id)}/remove", [("archiveWorkflow", False)])

    # ---- tasks ----------------------------------------------------------------------------------------

    def poll(self, task_name: str, worker_id: str, count: int) -> list[TaskRecord]:
        """Up to `count` tasks of a queue, without waiting."""
        query = [("workerid", worker_id), ("count", count), ("timeout", 0)]
        found = self.call("GET", f"/tasks/poll/batch/{_segment(task_name)}", query, fail_over=HUNG)
        with understood(self.settings.address, "a poll"):
            return _TASKS.validate_python(found or [])

    def show_busy(self, task_name: str, worker_id: str, seconds: float) -> None:
        """Be seen as a worker of a queue without taking anything from it (3.32.3, tried: a poll for no tasks counts).

        Args:
            task_name: The queue.
            worker_id: The worker.
            seconds: How long all its places have been taken.
        """
        query = [("workerid", f"{worker_id} {seconds:.0f}"), ("count", 0), ("timeout", 0), ("domain", BUSY)]
        self.call("GET", f"/tasks/poll/batch/{_segment(task_name)}", query, fail_over=HUNG)

    def show_reading(self, queue: str, reader: str) -> None:
        """Be seen as a reader: as one who polls a queue that nothing is ever put into.

        Args:
            queue: The queue.
            reader: What reads.
        """
        query = [("workerid", reader), ("count", 0), ("timeout", 0)]
        self.call("GET", f"/tasks/poll/batch/{_segment(queue)}", query, fail_over=HUNG)

    def task(self, task_id: str) -> TaskRecord:
        """One task as it is stored."""
        found = self.call("GET", f"/tasks/{_segment(task_id)}", fail_over=HUNG)
        with understood(self.settings.address, "a task"):
            return TaskRecord.model_validate(found)

    def log_task(self, task_id: str, message: str) -> None:
        """Add a line to a task's log."""
        self.call("POST", f"/tasks/{_segment(task_id)}/log", body=message)

    def task_log(self, task_id: str) -> list[str]:
        """The lines of a task's log, oldest first."""
        found = self.call("GET", f"/tasks/{_segment(task_id)}/log") or []
        return [_logged(str(line["log"])) for line in sorted(found, key=lambda line: line.get("createdTime", 0))]

    def update_task(self, result: Json) -> None:
        """Report on a task that was polled."""
        self.call("POST", "/tasks", body=result, fail_over=REPORT)

    def queue_sizes(self, task_names: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each queue; a poll takes them out."""
        sizes: dict[str, int] = {}
        for first in range(0, len(task_names), _NAMES_IN_URL):
            names = task_names[first : first + _NAMES_IN_URL]
            sizes |= self.call("GET", "/tasks/queue/sizes", [("taskType", name) for name in names], fail_over=HUNG)
        return sizes

    def polls(self, task_name: str) -> list[PollRecord]:
        """Who polled a queue, and when last."""
        found = self.call("GET", "/tasks/queue/polldata", [("taskType", task_name)]) or []
        with understood(self.settings.address, "polls"):
            return _POLLS.validate_python(found)

    def all_polls(self) -> list[PollRecord]:
        """Who polled each queue last, and when; the server remembers one worker for a queue."""
        found = self.call("GET", "/tasks/queue/polldata/all") or []
        with understood(self.settings.address, "polls"):
            return _POLLS.validate_python(found)

    # ---- health ---------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._http.clock.now()

    def moment(self) -> datetime:
        """Now, by the server's clock."""
        return datetime.fromtimestamp(self.now(), UTC)

    def started_at(self) -> int:
        """When the server may last have lost what it had begun, in milliseconds since 1970; 0 where it does not tell.

        That is when its process started; of several nodes, when one of them last started or was found away.
        """
        return self._http.interrupted_at()

    def check(self) -> None:
        """Raise `ServerUnreachable` unless a Conductor answers and is healthy."""
        url = f"{self.settings.base_url}/health"
        try:
            answer = self._http.get(url)
            if answer.status_code in (401, 403):
                raise refused(self.settings, answer.status_code, "GET /health", answer.reason_phrase)
            if answer.status_code in AWAY:
                raise away(self.settings.address, answer.status_code, "GET /health")
            healthy = answer.status_code == 200 and bool(answer.json()["healthy"])
        except httpx.TransportError as error:
            raise unreachable(self.settings.address, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise no_conductor(self.settings.address, "does not say whether it is healthy") from error
        if not healthy:
            raise ServerUnreachable(f"The server at {self.settings.address} says that it is not healthy.")

    def _find(self, path: str, query: Iterable[tuple[str, Any]] = ()) -> Json | None:
        try:
            found: Json | None = self.call("GET", path, query)
        except NotFound:
            return None
        return found


def _segment(value: str) -> str:
    return quote(value, safe="")


def _logged(stored: str) -> str:
    """A line of a log as it was sent: the server stores it with JSON's escapes, without its quotes (3.32.3, tried)."""
    try:
        return str(json.loads(f'"{stored}"'))
    except ValueError:  # another client's, sent as plain text
        return stored
