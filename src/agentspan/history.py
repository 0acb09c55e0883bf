"""A run read from the server, segment by segment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from agentspan.client import Conductor
from agentspan.compiler import SEGMENT, tool_of_task, turn_of
from agentspan.errors import NotFound
from agentspan.events import Event
from agentspan.failure import reason_text
from agentspan.projection import WAITING_AFTER, Draft, segment_drafts
from agentspan.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.result import AgentStatus, MissingWorker, Usage, answer_text
from agentspan.timeline import Step
from agentspan.turns import steps_of

POLLED_LATELY = 20.0
"""Seconds since the last poll after which a queue counts as served by nobody."""


class History:
    """Reads one run again and again, each time only what may have changed.

    Segments that are over never change, unless the run is retried; their events are kept.
    """

    def __init__(self, client: Conductor, execution_id: str) -> None:
        self._client = client
        self.execution_id = execution_id
        self._finished: dict[str, list[Draft]] = {}
        self._previous: dict[str, str | None] = {}

    def run(self) -> WorkflowRecord:
        """The agent workflow with the tasks it still has.

        Raises:
            NotFound: There is no such execution, or it is no agent's run.
        """
        run = self._client.workflow(self.execution_id)
        if "agent" not in run.workflow_definition.get("metadata", {}):
            raise NotFound(
                f"Execution {self.execution_id!r} is a run of the workflow {run.workflow_name}, not of an agent.",
                hint="`agentspan agent list` shows the runs of agents.",
            )
        return run

    def latest_segment(self, run: WorkflowRecord) -> WorkflowRecord | None:
        """The newest segment; for an agent without tools the run itself."""
        if not _loops(run):
            return run
        newest = _newest_segment_id(run)
        return None if newest is None else self._client.workflow(newest)

    def events(self, run: WorkflowRecord) -> list[Event]:
        """All events of the run so far, in order."""
        drafts = [draft for segment in self._segments(run) for draft in segment]
        end = _end_draft(run, drafts)
        if end is not None:
            drafts.append(end)
        return [draft.numbered(self.execution_id, seq) for seq, draft in enumerate(drafts, 1)]

    def _segments(self, run: WorkflowRecord) -> Iterator[list[Draft]]:
        now = int(time.time() * 1000)
        if not _loops(run):
            yield list(segment_drafts(run, now))
            return
        for segment_id in self.segment_ids(run):
            if segment_id not in self._finished:
                segment = self._client.workflow(segment_id)
                drafts = list(segment_drafts(segment, now))
                if segment.status == "COMPLETED":
                    self._finished[segment_id] = drafts
                yield drafts
            else:
                yield self._finished[segment_id]

    def segment_ids(self, run: WorkflowRecord) -> list[str]:
        """Ids of all segments, oldest first: each one names the one before it."""
        chain: list[str] = []
        current = _newest_segment_id(run)
        while current is not None:
            if current not in self._previous:
                try:
                    self._previous[current] = self._client.workflow(current, tasks=False).input.get("previous")
                except NotFound:  # somebody is deleting the run, oldest segments first
                    break
            chain.append(current)
            current = self._previous[current]
        return chain[::-1]

    def steps(self, run: WorkflowRecord, last: int | None = None) -> list[Step]:
        """The run's steps, in order; no more segments are read than the `last` ones need."""
        if not _loops(run):
            return list(steps_of(run))
        found: list[Step] = []
        current = _newest_segment_id(run)
        while current is not None and (last is None or len(found) < last):
            segment = self._client.workflow(current)
            found[:0] = steps_of(segment)
            current = segment.input.get("previous")
        return found if last is None else found[max(0, len(found) - last) :]

    def status(self) -> AgentStatus:
        """What the run is doing now."""
        run = self.run()
        segment = self.latest_segment(run)
        pending = [] if run.ended or segment is None else [t for t in segment.tasks if t.status in PENDING]
        metadata = run.workflow_definition["metadata"]
        return AgentStatus(
            execution_id=self.execution_id,
            agent=metadata["agent"],
            status=run.status,
            current_task=_current_task(pending),
            step=_step(segment),
            max_steps=metadata["max_turns"] if _loops(run) else 1,
            elapsed=_elapsed(run),
            output=answer_text(run.output.get("result")) if run.status == "COMPLETED" else None,
            error=_error(run),
            usage=_usage(run, segment),
            missing_workers=tuple(self._missing(pending)),
        )

    def _missing(self, pending: list[TaskRecord]) -> Iterator[MissingWorker]:
        now = time.time()
        for task in pending:
            due = task.scheduled_time / 1000 + task.callback_after_seconds
            if not _is_tool(task) or task.status != "SCHEDULED" or now - due < WAITING_AFTER:
                continue
            polls = [poll.last_poll_time for poll in self._client.polls(task.task_def_name)]
            last = max(polls, default=0) / 1000
            if now - last > POLLED_LATELY:
                yield MissingWorker(
                    tool=tool_of_task(task.task_def_name),
                    task_name=task.task_def_name,
                    since=datetime.fromtimestamp(task.scheduled_time / 1000, UTC),
                    last_poll=datetime.fromtimestamp(last, UTC) if last else None,
                )


def _loops(run: WorkflowRecord) -> bool:
    return any(task.get("type") == "DO_WHILE" for task in run.workflow_definition.get("tasks", []))


def _newest_segment_id(run: WorkflowRecord) -> str | None:
    ids = [t.sub_workflow_id for t in run.tasks if t.reference_task_name.startswith(f"{SEGMENT}__")]
    found = [segment_id for segment_id in ids if segment_id]
    return found[-1] if found else None


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


def _elapsed(run: WorkflowRecord) -> float:
    end = run.end_time if run.ended and run.end_time else int(time.time() * 1000)
    return max(0.0, (end - (run.start_time or run.create_time)) / 1000)


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
        output = answer_text(run.output.get("result"))
        return Draft(type="done", step=step, at=run.end_time, details={"output": output})
    if drafts and drafts[-1].type == "error":
        return None
    return Draft(type="error", step=step, at=run.end_time, details={"error": _error(run)})
