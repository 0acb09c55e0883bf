"""A run read from the server, segment by segment."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice

from agentspan import forks
from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.errors import NotFound, UnknownFormat
from agentspan.reading.drafts import Answered, Draft, Within, told
from agentspan.reading.events import AnyEvent
from agentspan.reading.handoffs import at_work
from agentspan.reading.output import answer_of, failure_text
from agentspan.reading.parts import NO_PARTS, Parts
from agentspan.reading.progress import run_progress
from agentspan.reading.projection import segment_drafts
from agentspan.reading.result import AgentStatus, as_text
from agentspan.reading.run import StoredSegment, loops, newest_segment_id
from agentspan.reading.spent import uncounted
from agentspan.reading.team import is_unfinished, member_of, members_in, steps_of_answers, team_progress, unfinished
from agentspan.reading.timeline import Step
from agentspan.reading.turns import steps_of
from agentspan.reading.waits import Waits
from agentspan.stored.format import FORMAT, format_of
from agentspan.stored.status import ENDED
from agentspan.stored.team import TeamSpec


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
        settled = next((place for place, task in enumerate(tasks) if not task.is_settled), len(tasks))
        tasks[settled:] = self._client.tasks(self.record.workflow_id, settled)


class History:
    """Reads one run again and again, each time only what may have changed.

    A segment that has another one after it never changes: its events are kept, and it is not read again. While a run
    is followed, a look costs the run without its tasks, and the newest segment from its first open task on.
    """

    def __init__(self, client: Conductor, execution_id: str) -> None:
        self._client = client
        self.execution_id = execution_id
        self._parts = Parts(client)
        self._called: dict[str, History] = {}  # agents that this one has called, by their runs
        self._all: list[Draft | Answered] | None = None  # once it has ended well
        self._past: dict[str, list[Draft | Answered]] = {}
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
        _check_known(run)
        return run

    def fresh(self, after: int) -> tuple[list[AnyEvent], bool]:
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
        newest = self._newest_id() if loops(run) else self.execution_id
        if newest is None or (self._newest is not None and newest == self._newest.record.workflow_id):
            return
        segment = Segment(self._client, newest)
        known = {*self._past, *([self._newest.record.workflow_id] if self._newest else [])}
        unread: dict[str, list[Draft | Answered]] = {}
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
        return newest_segment_id(self._client.workflow(self.execution_id))

    def events(self, run: WorkflowRecord, after: int = 0) -> list[AnyEvent]:
        """The run's events so far, as of the last look, in order.

        Args:
            run: What the look gave.
            after: How many of the first ones to leave out.
        """
        found = self._drafts_so_far()
        drafts = told(found)
        end = _end_draft(run, drafts)
        if end is not None:
            drafts = told([*found, replace(end, agent=at_work(drafts))])
        numbered = islice(enumerate(drafts, 1), after, None)
        return [draft.numbered(self.execution_id, seq) for seq, draft in numbered]

    def _drafts(self, segment: WorkflowRecord) -> list[Draft | Answered]:
        return list(self._whole(segment_drafts(self.stored(segment), int(self._client.now() * 1000))))

    def _whole(self, drafts: Iterable[Draft | Within | Answered]) -> Iterator[Draft | Answered]:
        """With the events of the agents that were called, at their place."""
        for draft in drafts:
            if not isinstance(draft, Within):
                yield draft
                continue
            called = self._called.setdefault(draft.execution_id, History(self._client, draft.execution_id))
            with suppress(NotFound):  # somebody is deleting it
                yield from (_below(each, draft.agent) for each in called.drafts())

    def drafts(self) -> list[Draft | Answered]:
        """What happened in the run so far, without its end."""
        if self._all is None:
            with self._lock:
                run = self.look()
                found = self._drafts_so_far()
            if run.status != "COMPLETED":
                return found
            self._all = found
        return self._all

    def _drafts_so_far(self) -> list[Draft | Answered]:
        newest = [] if self._newest is None else self._drafts(self._newest.record)
        return [*chain.from_iterable(self._past.values()), *newest]

    def stored(self, segment: WorkflowRecord) -> StoredSegment:
        """A segment's record as what it stands for."""
        return StoredSegment.of(segment, self._parts.of(segment.tasks))

    def steps(self, last: int | None = None) -> list[Step]:
        """The run's steps, in order; no more segments are read than the `last` ones need."""
        found: list[Step] = []
        run = self.run()
        if TeamSpec.of(run.workflow_definition["metadata"]) is not None:
            members = members_in(self._client.workflow(self.execution_id))
            all_of = [step for task in members if task.sub_workflow_id for step in self._steps_of_member(task)]
            return all_of if last is None else all_of[max(0, len(all_of) - last) :]
        for segment in self.segments():
            found[:0] = steps_of(segment)
            if last is not None and len(found) >= last:
                break
        return found if last is None else found[max(0, len(found) - last) :]

    def _steps_of_member(self, task: TaskRecord) -> Iterator[Step]:
        for step in History(self._client, task.sub_workflow_id or "").steps():
            yield step if step.agent else replace(step, agent=member_of(task))

    def segments(self) -> Iterator[StoredSegment]:
        """The run's segments, newest first, each read when it is asked for."""
        current = self._newest_id() if loops(self.run()) else self.execution_id
        while current is not None:
            segment = self._client.workflow(current)
            yield self.stored(segment)
            current = segment.input.get("previous")

    def all_events(self) -> list[AnyEvent]:
        """The run's events so far, in order."""
        return self.fresh(0)[0]

    def messages(self) -> list[dict[str, str]]:
        """The run's conversation: what came before it, its prompt, and its answer where there is one."""
        return conversation(self.run())

    def segment_ids(self, run: WorkflowRecord) -> list[str]:
        """Ids of all segments there are, oldest first: each one names the one before it."""
        found: list[str] = []
        current = self._newest_id() if loops(run) else None
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
        record = None if newest is None else newest.record
        metadata = run.workflow_definition["metadata"]
        team = TeamSpec.of(metadata)
        pending = [] if run.ended or newest is None else newest.pending
        begun = NO_PARTS if record is None else self._begun(record)
        if team is not None and record is not None:
            members = [(name, History(self._client, part).status()) for name, part in unfinished(record, begun)]
            progress = team_progress(record, team, members, is_over=run.ended)
        else:
            segment = None if record is None else StoredSegment.of(record, begun)
            called = () if segment is None else uncounted(segment)
            below = [History(self._client, each).status().usage for each in called]
            progress = run_progress(run, segment, pending, below)
        return AgentStatus(
            execution_id=self.execution_id,
            agent=metadata["agent"],
            status=run.status,
            elapsed=self._elapsed(run),
            output=as_text(answer_of(run)) if run.status == "COMPLETED" else None,
            error=_error(run),
            waits=tuple(Waits(self._client, run).of(record, NO_PARTS if run.ended else begun)),
            **progress,
        )

    def _begun(self, record: WorkflowRecord) -> Mapping[str, WorkflowRecord]:
        """What calls of a segment have begun that have not told anything yet, by their ids."""
        return Parts(self._client).of(task for task in record.tasks if is_unfinished(task))

    def turns(self) -> int:
        """Turns of models that were begun in the run; of a team those of all its members."""
        run, newest = self.latest()
        if newest is None:
            return 0
        if TeamSpec.of(run.workflow_definition["metadata"]) is None:
            return StoredSegment.of(newest.record).step
        members = unfinished(newest.record, self._begun(newest.record))
        return steps_of_answers(newest.record) + sum(History(self._client, part).turns() for _, part in members)

    def latest(self) -> tuple[WorkflowRecord, Segment | None]:
        """The run, without its tasks, and its newest segment; of the segments before it nothing is read."""
        with self._lock:
            return self._latest()

    def _latest(self) -> tuple[WorkflowRecord, Segment | None]:
        run = self.run()
        if self._newest is not None and not self._newest.is_over():
            return run, self._newest
        if self._last is None or self._last.is_over():
            newest = self._newest_id() if loops(run) else self.execution_id
            if newest is not None and (self._last is None or newest != self._last.record.workflow_id):
                self._last = Segment(self._client, newest)
        return run, self._last

    def _elapsed(self, run: WorkflowRecord) -> float:
        end = run.end_time if run.ended and run.end_time else int(self._client.now() * 1000)
        return max(0.0, (end - (run.start_time or run.create_time)) / 1000)


def conversation(run: WorkflowRecord) -> list[dict[str, str]]:
    """What came before a run, its prompt, and its answer where there is one."""
    prompt = run.output.get("prompt") or run.input.get("prompt", "")  # which a guardrail may have changed
    said = [*(run.input.get("messages") or []), {"role": "user", "message": str(prompt)}]
    answer = as_text(answer_of(run)) if run.status == "COMPLETED" else ""
    return [*said, {"role": "assistant", "message": answer}] if answer.strip() else said


def _below(draft: Draft | Answered, agent: str) -> Draft | Answered:
    return replace(draft, path=(agent, *draft.path)) if isinstance(draft, Draft) else draft


def _check_known(run: WorkflowRecord) -> None:
    metadata = run.workflow_definition.get("metadata", {})
    if "agent" not in metadata:
        raise NotFound(
            f"Execution {run.workflow_id!r} is a run of the workflow {run.workflow_name}, not of an agent.",
            hint="`agentspan agent list` shows the runs of agents.",
        )
    if format_of(metadata) > FORMAT:
        raise UnknownFormat(
            f"The run {run.workflow_id} is stored in form {format_of(metadata)}, and this agentspan knows none "
            f"after {FORMAT}.",
            hint="Upgrade agentspan to the version that started the run.",
        )


def _error(run: WorkflowRecord) -> str | None:
    if not run.ended or run.status == "COMPLETED":
        return None
    return failure_text(run)


def _end_draft(run: WorkflowRecord, drafts: list[Draft]) -> Draft | None:
    if not run.ended:
        return None
    step = drafts[-1].step if drafts else 0
    if run.status == "COMPLETED":
        return Draft(type="done", step=step, at=run.end_time, details={"output": answer_of(run)})
    if drafts and drafts[-1].type == "error":
        return None
    return Draft(type="error", step=step, at=run.end_time, details={"error": _error(run)})
