"""The watchdog: makes the engine look at runs that stand still.

Conductor's SQL queues deliver a message once; when what was delivered dies, the message is armed again
only by a sweep once a minute, of messages that are a minute old. So a worker's or a server's death is
noticed up to two minutes late, whatever the timeouts say (3.32.1, measured; docs/decisions/0006-watchdog.md).
Whoever waits for a run looks at it now and then and, when it stands still, asks for what is due:

- a tool call whose lease is over: decide its workflow, so that the engine gives it to another worker;
- a tool call, or a model call of a server that died, whose message is lost: push it again;
- a segment that a server which died was about to start: make it known to the run, or have the loop start another;
- a model call that its provider has refused for good: do not let the retries run through;
- a join that waits for nothing any more: have it looked at;
- anything else that has been pending for a while: decide its workflow and the one above.

All of it is plain REST and safe at any time: the engine itself decides what is due.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any
from uuid import UUID

from agentspan.engine.client import Conductor
from agentspan.engine.failure import model_failure
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.errors import NotFound, ServerRejected
from agentspan.stored.lease import RESPONSE_TIMEOUT

log: logging.Logger = logging.getLogger("agentspan.watchdog")

FIRST, LAST = 1.0, 10.0
"""Seconds between looks at a run: at first, and once it has stood still for long."""

RESTING = 300.0
"""Seconds between looks at what waits for people only: whoever decides moves it, and a deadline is the engine's."""

UNTAKEN = 3.0
"""Seconds after which a call that no worker has taken is pushed again."""

SOON = 1.0
"""Seconds within which the engine looks at a join by itself."""

_FAILED = frozenset({"FAILED", "FAILED_WITH_TERMINAL_ERROR", "TIMED_OUT", "CANCELED"})
"""How a branch ends that ends its fork: one that may fail is COMPLETED_WITH_ERRORS."""

_STRUCTURE = frozenset({"DO_WHILE", "FORK", "FORK_JOIN_DYNAMIC", "JOIN", "SWITCH"})

_SAME_IN_ALL = frozenset(
    (
        *("execution_id", "prompt", "messages", "instructions", "tools", "tool_tasks", "limited", "marked"),
        *("programs", "transcript_path", "parts", "previous"),
    )
)
"""What every segment of a run is given; all else one leaves to the next."""

LEASE_MARGIN = 0.1

NOT_BEGUN = "The call was not made: the server died as it was about to begin it. Call again if it is still wanted."


@dataclass
class Watched:
    """One segment (or run without segments) that somebody waits for."""

    workflow_id: str
    seen: tuple[object, ...] = ()
    pause: float = FIRST
    due: float = field(default_factory=lambda: time.monotonic() + FIRST)


class Watchdog:
    """Looks at executions when they are due, and does what their standing still calls for."""

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._watched: dict[str, Watched] = {}

    def watch(self, workflow_id: str) -> None:
        """Look at an execution from now on, until it is over."""
        if workflow_id not in self._watched:
            self._watched[workflow_id] = Watched(workflow_id)

    def forget(self, workflow_id: str) -> None:
        """Look at an execution no more: it is over, or the next search for running ones finds it."""
        self._watched.pop(workflow_id, None)

    def hurry(self) -> None:
        """Look at everything soon: the server was away."""
        for watched in self._watched.values():
            watched.due, watched.pause = time.monotonic(), FIRST

    def progressed(self, workflow_id: str) -> None:
        """An execution has just moved: there is no need to look for a while."""
        watched = self._watched.setdefault(workflow_id, Watched(workflow_id))
        watched.pause, watched.due = FIRST, time.monotonic() + 2 * FIRST

    def round(self) -> None:
        """Look at every execution that is due.

        Raises:
            ServerUnreachable: Nobody answers; the executions stay watched.
        """
        for watched in list(self._watched.values()):
            if watched.due <= time.monotonic():
                self._look(watched)

    def _look(self, watched: Watched) -> None:
        try:
            workflow = self._client.workflow(watched.workflow_id)
        except NotFound:
            self._watched.pop(watched.workflow_id, None)
            return
        if workflow.ended:
            self._watched.pop(watched.workflow_id, None)
            if workflow.parent_workflow_id is not None:
                # After a server's death the parent may not have heard of it.
                self._decide(workflow.parent_workflow_id)
            return
        pending = [task for task in workflow.tasks if task.status in PENDING]
        self._plan_next(watched, pending)
        if watched.pause < RESTING:
            self._wake(workflow.parent_workflow_id)
        self._act(workflow, pending)

    def _plan_next(self, watched: Watched, pending: list[TaskRecord]) -> None:
        # A join is polled by each look, which is no sign of life.
        seen = tuple((task.task_id, task.status, 0 if task.kind is None else task.poll_count) for task in pending)
        watched.pause = FIRST if seen != watched.seen else min(LAST, watched.pause * 1.5)
        if watched.pause == LAST and self._rests(pending):
            watched.pause = RESTING
        watched.seen = seen
        leases = [self._lease_left(task) for task in pending if _on_lease(task)]
        soonest = min((left + LEASE_MARGIN for left in leases if left > 0), default=RESTING)
        watched.due = time.monotonic() + min(watched.pause, soonest)

    def _rests(self, pending: list[TaskRecord]) -> bool:
        """Whether all that is open waits for a person, or for what does."""
        open_ = [task for task in pending if task.task_type not in _STRUCTURE]
        return bool(open_) and all(
            task.task_type in ("HUMAN", "WAIT") or self._is_at_rest(task.sub_workflow_id) for task in open_
        )

    def _is_at_rest(self, workflow_id: str | None) -> bool:
        watched = self._watched.get(workflow_id or "")
        return watched is not None and watched.pause == RESTING

    def _wake(self, workflow_id: str | None) -> None:
        """Look soon at what has rested, as a part of it moves."""
        watched = self._watched.get(workflow_id or "")
        if watched is not None and watched.pause == RESTING:
            watched.pause, watched.due = FIRST, time.monotonic() + FIRST

    def _act(self, workflow: WorkflowRecord, pending: list[TaskRecord]) -> None:
        for task in pending:
            refused = _refusal(workflow, task)
            if refused is not None:
                self._give_up(task, refused)
            elif task.sub_workflow_id:
                self.watch(task.sub_workflow_id)
            elif task.task_type == "SUB_WORKFLOW" and self._is_cut_off(task):
                self._begin_again(task)
            elif self._is_lost(task) or self._is_overlooked(workflow, task):
                self._push_again(task)
        if not pending or any(self._is_stale(task) for task in pending):
            self._decide(workflow.workflow_id)

    def _begin_again(self, task: TaskRecord) -> None:
        """Bring back a segment whose start was lost with the server.

        The engine by itself waits for an hour and then fails the run, and no request makes it start the segment again.
        So a segment that has begun all the same is made known to the run. One that has not is passed over: its task is
        completed with the values it was to begin with, and the loop begins the next one with those.
        """
        segment_id = _begun_as(task)
        log.info("Bringing back %s of %s.", task.reference_task_name, task.workflow_instance_id)
        try:
            self._client.status(segment_id)
        except NotFound:
            if task.is_part:
                self._give_up(task, NOT_BEGUN)
                return
            values = task.input_data["workflowInput"]
            segment_id = values.get("previous")
            status, output = "COMPLETED", {name: value for name, value in values.items() if name not in _SAME_IN_ALL}
        else:
            status, output = "IN_PROGRESS", {}
        # The next segment learns from the output which one was before it; Conductor puts the id there in a start only.
        output["subWorkflowId"] = segment_id
        self._update(task, status=status, subWorkflowId=segment_id, outputData=output)

    def _is_lost(self, task: TaskRecord) -> bool:
        if self._age(task) < UNTAKEN + task.callback_after_seconds:
            return False
        if task.in_worker:
            return task.status == "SCHEDULED" and self._is_polled(task)
        return task.kind == "llm" and self._is_cut_off(task)

    def _is_overlooked(self, workflow: WorkflowRecord, task: TaskRecord) -> bool:
        """Whether a join has nothing left to wait for, and is not to be looked at soon, or was to be long ago."""
        if task.task_type != "JOIN":
            return False
        newest = {each.reference_task_name: each for each in workflow.tasks}
        joined = [newest[name] for name in task.input_data.get("joinOn") or () if name in newest]
        if any(each.status in PENDING for each in joined) and not any(each.status in _FAILED for each in joined):
            return False
        late = self._age(task) - task.callback_after_seconds
        # One that is long late has lost its message: of two looks at once, the first one's may be stored last.
        return not -SOON <= late <= UNTAKEN or self._is_cut_off(task)

    def _is_cut_off(self, task: TaskRecord) -> bool:
        """Whether the server died after it had begun the task."""
        touched = max(task.start_time, task.update_time, task.scheduled_time)
        return self._age(task) > UNTAKEN and self._client.started_at() > touched

    def _is_polled(self, task: TaskRecord) -> bool:
        last = max((poll.last_poll_time for poll in self._client.polls(task.task_def_name)), default=0)
        return self._client.now() - last / 1000 < LAST

    def _is_stale(self, task: TaskRecord) -> bool:
        """Whether the engine may have overlooked that something is due."""
        if _on_lease(task):
            return self._lease_left(task) < 0
        return not task.in_worker and self._age(task) > UNTAKEN

    def _lease_left(self, task: TaskRecord) -> float:
        return task.update_time / 1000 + RESPONSE_TIMEOUT - self._client.now()

    def _age(self, task: TaskRecord) -> float:
        return self._client.now() - max(task.update_time, task.scheduled_time, task.start_time) / 1000

    def _push_again(self, task: TaskRecord) -> None:
        log.info("Pushing %s of %s again.", task.reference_task_name, task.workflow_instance_id)
        self._update(task, status="IN_PROGRESS", callbackAfterSeconds=0, outputData=task.output_data)

    def _give_up(self, task: TaskRecord, reason: str) -> None:
        log.info("%s of %s is not tried again: %s", task.reference_task_name, task.workflow_instance_id, reason)
        self._update(task, status="FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion=reason)

    def _update(self, task: TaskRecord, **report: Any) -> None:
        address = {"taskId": task.task_id, "workflowInstanceId": task.workflow_instance_id, "workerId": task.worker_id}
        try:
            self._client.update_task({**address, **report})
        except ServerRejected as error:
            log.info("%s could not be updated: %s", task.reference_task_name, error)

    def _decide(self, workflow_id: str) -> None:
        try:
            self._client.decide(workflow_id)
        except (NotFound, ServerRejected) as error:
            log.info("%s could not be decided: %s", workflow_id, error)


def _begun_as(task: TaskRecord) -> str:
    """The id that Conductor gives the sub-workflow of a task: the same, however often it starts it."""
    source = f"subworkflow:{task.workflow_instance_id}:{task.task_id}:{task.retry_count}"
    return str(UUID(bytes=md5(source.encode(), usedforsecurity=False).digest(), version=3))


def _refusal(workflow: WorkflowRecord, task: TaskRecord) -> str | None:
    """Why the model call that waits for its next try was refused, if for good."""
    if task.kind != "llm" or task.in_worker or task.status != "SCHEDULED" or task.retried_task_id is None:
        return None
    before = next((other for other in workflow.tasks if other.task_id == task.retried_task_id), None)
    reason = (before.reason_for_incompletion if before else None) or ""
    failure = model_failure(reason)
    return reason if failure is not None and failure.final else None


def _on_lease(task: TaskRecord) -> bool:
    return task.in_worker and task.status == "IN_PROGRESS"
