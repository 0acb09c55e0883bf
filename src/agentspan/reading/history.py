"""A run read from the server, segment by segment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice

from agentspan import forks
from agentspan.engine.client import BUSY, Conductor
from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.errors import NotFound
from agentspan.reading.events import Event
from agentspan.reading.projection import WAITING_AFTER, Draft, mismatch_of, segment_drafts
from agentspan.reading.result import AgentStatus, BusyWorker, MissingWorker, Usage, answer_text
from agentspan.reading.timeline import Step
from agentspan.reading.turns import steps_of
from agentspan.stored.names import SEGMENT, tool_of_task, turn_of
from agentspan.stored.status import ENDED

POLLED_LATELY = 20.0
"""Seconds since the last poll after which a queue counts as served by nobody."""


class Segment:
    """One segment of a run, or a run that has none; read again only from the first task that may still change."""

    def __init__(self, client: Conductor, execution_id: str) -> None:
        self._client = client
        self.record: WorkflowRecord = client.workflow(execution_id)
        self.final: bool = self.record.status == "COMPLETED"

    @property
    def previous(self) -> str | None:
        """Id of the segment before it."""
        return self.record.input.get("previous")

    @property
    def pending(self) -> list[TaskRecord]:
        """Its tasks that are at work, or wait for it."""
        return [task for task in self.record.tasks if task.status in PENDING]

    def is_over(self) -> bool:
        """Bring it up to date, and say whether it has ended, so that there may be one after it."""
        if self.final:
            return True
        self._read_on()
        if self.pending:
            return False
        status = self._client.status(self.record.workflow_id)
        if status in ENDED:
            self._read_on()  # it may have moved between the two looks
        self.final = status == "COMPLETED"
        return status in ENDED

    def _read_on(self) -> None:
        tasks = self.record.tasks
        settled = next((place for place, task in enumerate(tasks) if not _is_settled(task)), len(tasks))
        tasks[settled:] = self._client.tasks(self.record.workflow_id, settled)


class History:
    """Reads one run again and again, each time only what may have changed.

    A segment that has another one after it never changes: its events are kept, and it is not read again. While a run
    is followed, a look costs the run without its tasks, and the newest segment from its first open task on.
    """

    def __init__(self, client: Conductor, execution_id: str) -> None:
        self._client = client
        self.execution_id = execution_id
        self._past: dict[str, list[Draft]] = {}
        self._lock = threading.Lock()  # one handle may be read by several threads, and by an event loop's
        forks.tell(self)
        self._newest: Segment | None = None
        self._last: Segment | None = None  # the newest one too, of a reader that knows nothing of those before it

    def after_fork(self) -> None:
        """A look of the parent's may have been under way."""
        self._lock = threading.Lock()

    @property
    def newest(self) -> WorkflowRecord | None:
        """The newest segment as of the last look; for an agent without tools the run itself."""
        return None if self._newest is None else self._newest.record

    def run(self) -> WorkflowRecord:
        """The run, without its tasks.

        Raises:
            NotFound: There is no such execution, or it is no agent's run.
        """
        run = self._client.workflow(self.execution_id, tasks=False)
        if "agent" not in run.workflow_definition.get("metadata", {}):
            raise NotFound(
                f"Execution {self.execution_id!r} is a run of the workflow {run.workflow_name}, not of an agent.",
                hint="`agentspan agent list` shows the runs of agents.",
            )
        return run

    def fresh(self, after: int) -> tuple[list[Event], bool]:
        """The events after the first `after` ones, and whether the run is over, so that there are no more."""
        with self._lock:
            run = self.look()
            return self.events(run, after), run.ended

    def look(self) -> WorkflowRecord:
        """Read what is new; the run, without its tasks."""
        run = self.run()
        # The run first: when it has ended, what is read after that is all there will be.
        if self._newest is None or self._newest.is_over():
            self._go_on(run)
        return run

    def _go_on(self, run: WorkflowRecord) -> None:
        """Find the segments after those that are known."""
        newest = self._newest_id() if _loops(run) else self.execution_id
        if newest is None or (self._newest is not None and newest == self._newest.record.workflow_id):
            return
        segment = Segment(self._client, newest)
        known = {*self._past, *([self._newest.record.workflow_id] if self._newest else [])}
        unread: dict[str, list[Draft]] = {}
        previous = segment.previous
        while previous is not None and previous not in known:
            record = self._client.workflow(previous)
            # Keep the drafts and drop the record: a long run has hundreds of megabytes of them.
            unread[previous] = self._drafts(record)
            previous = record.input.get("previous")
        self._forget_after(previous)
        self._past |= dict(reversed(unread.items()))
        self._newest = segment

    def _forget_after(self, segment_id: str | None) -> None:
        """Drop what is not before the new segments: somebody restarted the run in Conductor itself."""
        if self._newest is not None and self._newest.record.workflow_id == segment_id:
            self._past[self._newest.record.workflow_id] = self._drafts(self._newest.record)
            return
        past = list(self._past)
        for forgotten in past[past.index(segment_id) + 1 if segment_id is not None else 0 :]:
            del self._past[forgotten]

    def _newest_id(self) -> str | None:
        run = self._client.workflow(self.execution_id)
        segments = [task for task in run.tasks if _is_segment(task)]
        # The newest one may not have started yet, when the one before it is gone already.
        ids = [task.sub_workflow_id or task.input_data.get("workflowInput", {}).get("previous") for task in segments]
        return next((segment_id for segment_id in reversed(ids) if segment_id), None)

    def open_segment(self) -> TaskRecord | None:
        """The run's task for the segment that is at work, or about to begin."""
        tasks = self._client.workflow(self.execution_id).tasks
        return next((task for task in reversed(tasks) if _is_segment(task) and task.status in PENDING), None)

    def events(self, run: WorkflowRecord, after: int = 0) -> list[Event]:
        """The run's events so far, as of the last look, in order.

        Args:
            run: What the look gave.
            after: How many of the first ones to leave out.
        """
        newest = [] if self._newest is None else self._drafts(self._newest.record)
        drafts = [*chain.from_iterable(self._past.values()), *newest]
        end = _end_draft(run, drafts)
        if end is not None:
            drafts.append(end)
        numbered = islice(enumerate(drafts, 1), after, None)
        return [draft.numbered(self.execution_id, seq) for seq, draft in numbered]

    def _drafts(self, segment: WorkflowRecord) -> list[Draft]:
        return list(segment_drafts(segment, int(self._client.now() * 1000)))

    def steps(self, last: int | None = None) -> list[Step]:
        """The run's steps, in order; no more segments are read than the `last` ones need."""
        found: list[Step] = []
        current = self._newest_id() if _loops(self.run()) else self.execution_id
        while current is not None and (last is None or len(found) < last):
            segment = self._client.workflow(current)
            found[:0] = steps_of(segment)
            current = segment.input.get("previous")
        return found if last is None else found[max(0, len(found) - last) :]

    def segment_ids(self, run: WorkflowRecord) -> list[str]:
        """Ids of all segments there are, oldest first: each one names the one before it."""
        found: list[str] = []
        current = self._newest_id() if _loops(run) else None
        while current is not None:
            try:
                segment = self._client.workflow(current, tasks=False)
            except NotFound:  # somebody is deleting the run, oldest segments first
                break
            found.append(current)
            current = segment.input.get("previous")
        return found[::-1]

    def status(self) -> AgentStatus:
        """What the run is doing now; reads the run and its newest segment, however long the run is."""
        run, newest = self.latest()
        segment = None if newest is None else newest.record
        pending = [] if run.ended or newest is None else newest.pending
        metadata = run.workflow_definition["metadata"]
        return AgentStatus(
            execution_id=self.execution_id,
            agent=metadata["agent"],
            status=run.status,
            current_task=_current_task(pending),
            step=_step(segment),
            max_steps=metadata["max_turns"] if _loops(run) else 1,
            elapsed=self._elapsed(run),
            output=answer_text(run.output.get("result"), run.workflow_id) if run.status == "COMPLETED" else None,
            error=_error(run),
            usage=_usage(run, segment),
            missing_workers=tuple(self._missing(pending)),
            busy_workers=tuple(self._busy(pending)),
        )

    def latest(self) -> tuple[WorkflowRecord, Segment | None]:
        """The run, without its tasks, and its newest segment; of the segments before it nothing is read."""
        with self._lock:
            return self._latest()

    def _latest(self) -> tuple[WorkflowRecord, Segment | None]:
        run = self.run()
        if self._newest is not None and not self._newest.is_over():
            return run, self._newest
        if self._last is None or self._last.is_over():
            newest = self._newest_id() if _loops(run) else self.execution_id
            if newest is not None and (self._last is None or newest != self._last.record.workflow_id):
                self._last = Segment(self._client, newest)
        return run, self._last

    def _missing(self, pending: list[TaskRecord]) -> Iterator[MissingWorker]:
        for task in self._untaken(pending):
            found = mismatch_of(task)
            if found is not None and found.open:
                yield self._missing_worker(task, found.at, found.why)
            elif self._is_overdue(task):
                missing = self._missing_worker(task, task.scheduled_time)
                if missing.last_poll is None or self._client.now() - missing.last_poll.timestamp() > POLLED_LATELY:
                    yield missing

    def _untaken(self, pending: list[TaskRecord]) -> Iterator[TaskRecord]:
        return (task for task in pending if _is_tool(task) and task.status == "SCHEDULED")

    def _is_overdue(self, task: TaskRecord) -> bool:
        return self._client.now() - (task.scheduled_time / 1000 + task.callback_after_seconds) >= WAITING_AFTER

    def _missing_worker(self, task: TaskRecord, since: int, mismatch: str | None = None) -> MissingWorker:
        last = max((poll.last_poll_time for poll in self._client.polls(task.task_def_name)), default=0)
        return MissingWorker(
            tool=tool_of_task(task.task_def_name),
            task_name=task.task_def_name,
            since=datetime.fromtimestamp(since / 1000, UTC),
            last_poll=datetime.fromtimestamp(last / 1000, UTC) if last else None,
            mismatch=mismatch,
        )

    def _busy(self, pending: list[TaskRecord]) -> Iterator[BusyWorker]:
        overdue = [task for task in self._untaken(pending) if self._is_overdue(task)]
        for queue in dict.fromkeys(task.task_def_name for task in overdue):
            found = busy_worker(self._client, queue)
            if found is not None:
                yield found

    def _elapsed(self, run: WorkflowRecord) -> float:
        end = run.end_time if run.ended and run.end_time else int(self._client.now() * 1000)
        return max(0.0, (end - (run.start_time or run.create_time)) / 1000)


def busy_worker(client: Conductor, queue: str) -> BusyWorker | None:
    """The worker that serves a queue, and takes nothing from it as all its places are taken; None when there is none.

    Args:
        client: The server.
        queue: A tool's queue.
    """
    polls = sorted(client.polls(queue), key=lambda poll: poll.last_poll_time)
    last = polls[-1] if polls else None
    if last is None or last.domain != BUSY or client.now() - last.last_poll_time / 1000 > POLLED_LATELY:
        return None
    worker_id, _, seconds = (last.worker_id or "").partition(" ")
    since = last.last_poll_time / 1000 - float(seconds or 0)
    return BusyWorker(
        tool=tool_of_task(queue),
        task_name=queue,
        worker_id=worker_id,
        since=datetime.fromtimestamp(since, UTC),
        waiting=client.queue_sizes([queue]).get(queue, 0),
    )


def _loops(run: WorkflowRecord) -> bool:
    return any(task.get("type") == "DO_WHILE" for task in run.workflow_definition.get("tasks", []))


def _is_segment(task: TaskRecord) -> bool:
    return task.reference_task_name.startswith(f"{SEGMENT}__")


def _is_settled(task: TaskRecord) -> bool:
    return task.retried or task.status in ("COMPLETED", "COMPLETED_WITH_ERRORS", "SKIPPED")


def _is_tool(task: TaskRecord) -> bool:
    place = turn_of(task.reference_task_name)
    return place is not None and place[0] == "tool"


def _current_task(pending: list[TaskRecord]) -> str | None:
    names = []
    for task in pending:
        place = turn_of(task.reference_task_name)
        if place is not None and place[0] in ("llm", "tool"):
            names.append("model" if place[0] == "llm" else tool_of_task(task.task_def_name))
    return ", ".join(dict.fromkeys(names)) or None


def _step(segment: WorkflowRecord | None) -> int:
    if segment is None:
        return 0
    places = [turn_of(task.reference_task_name) for task in segment.tasks]
    turns = [place[1] for place in places if place is not None]
    return int(segment.input.get("steps") or 0) + max(turns, default=0)


def _error(run: WorkflowRecord) -> str | None:
    if not run.ended or run.status == "COMPLETED":
        return None
    return reason_text(run.reason_for_incompletion or run.status)


def _usage(run: WorkflowRecord, segment: WorkflowRecord | None) -> Usage:
    if run.status == "COMPLETED" or segment is None:
        return Usage.of(run.output.get("usage"))
    plans = [t for t in segment.tasks if t.reference_task_name.startswith("plan_") and t.status == "COMPLETED"]
    return Usage.of(plans[-1].output_data["result"]["usage"] if plans else segment.input.get("usage"))


def _end_draft(run: WorkflowRecord, drafts: list[Draft]) -> Draft | None:
    if not run.ended:
        return None
    step = drafts[-1].step if drafts else 0
    if run.status == "COMPLETED":
        output = answer_text(run.output.get("result"), run.workflow_id)
        return Draft(type="done", step=step, at=run.end_time, details={"output": output})
    if drafts and drafts[-1].type == "error":
        return None
    return Draft(type="error", step=step, at=run.end_time, details={"error": _error(run)})
