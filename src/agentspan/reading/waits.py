"""Reads what a run waits for, or why it is over: answered here once, for all who ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agentspan.engine.client import BUSY, Conductor
from agentspan.engine.failure import model_failure, reason_text
from agentspan.engine.records import PENDING, PollRecord, TaskRecord, WorkflowRecord
from agentspan.reading.durations import ago, brief, due_in, moment
from agentspan.reading.output import ANOTHER_BUDGET, ANOTHER_PROMPT, START_ANEW, failure_text
from agentspan.reading.parts import NO_PARTS, Parts, waited_for
from agentspan.reading.people import person_reason
from agentspan.reading.reasons import BusyWorker, MissingWorker, Reason, ReasonKind
from agentspan.reading.requests import request_of
from agentspan.reading.run import is_run, newest_segment_id
from agentspan.stored.budget import is_over_budget
from agentspan.stored.guard import REFUSED
from agentspan.stored.lease import RESPONSE_TIMEOUT
from agentspan.stored.names import tool_of_task
from agentspan.stored.notes import Failure
from agentspan.stored.output import INVALID

POLLED_LATELY = 20.0
"""Seconds since the last poll after which a queue counts as served by nobody."""

WAITING_AFTER = 5.0
"""Seconds a tool call may wait for a worker before that is worth saying."""


class Waits:
    """Reads what a run waits for.

    Args:
        client: The server.
        run: The run, without its tasks.
    """

    def __init__(self, client: Conductor, run: WorkflowRecord) -> None:
        self._client = client
        self._run = run
        self._now = client.now()

    def of(self, segment: WorkflowRecord | None, parts: Mapping[str, WorkflowRecord] = NO_PARTS) -> Iterator[Reason]:
        """What it waits for in its newest segment, most telling first; nothing when it is over.

        Args:
            segment: That segment.
            parts: Records of its calls that are made in workflows of their own, by their ids.
        """
        if self._run.ended:
            return
        paused = self._run.status == "PAUSED"
        if paused:
            yield self._paused()
        tasks = segment.tasks if segment else []
        pending = [task for task in tasks if task.status in PENDING]
        waits = [self._model(task, tasks) for task in pending if task.kind == "llm" and not task.in_worker]
        waits += [reason for task in pending if task.in_worker for reason in self._in_worker(task, parts)]
        begun = (parts.get(task.sub_workflow_id or "") for task in pending)
        waits += [reason for part in begun if part is not None for reason in self._part(part)]
        yield from _each_request_once(waits)
        if not waits and not paused:
            yield self._engine(segment)

    def _paused(self) -> Reason:
        since = self._run.update_time
        return Reason(
            kind="paused",
            text=f"Somebody paused it, {self._ago(since)} ago or earlier.",
            since=moment(since),
            next=(_command("resume", self._run),),
        )

    def _engine(self, segment: WorkflowRecord | None) -> Reason:
        moved = max((task.end_time for task in segment.tasks), default=0) if segment else 0
        since = moved or self._run.start_time or self._run.create_time
        return Reason(
            kind="engine",
            text=f"The server has the next move, since {self._ago(since)}.",
            since=moment(since),
            next=(f"{_command('watch', self._run)}    makes it look again, if that lasts",),
        )

    # ---- people ---------------------------------------------------------------------------------------

    def _part(self, part: WorkflowRecord) -> Iterator[Reason]:
        """What a call waits for that is made in a workflow of its own."""
        request = request_of(part)
        if request is not None and request.status == "waiting":
            yield person_reason(request, self._now)
            return
        if is_run(part):
            yield from self._called(part)
            return
        begun = [task for task in part.tasks if task.status in PENDING]
        yield from (self._tool(task) for task in begun if task.in_worker)
        for task in begun:
            if task.is_part and task.sub_workflow_id:
                yield from self._part(self._client.workflow(task.sub_workflow_id))

    def _called(self, part: WorkflowRecord) -> Iterator[Reason]:
        """What an agent waits for that was called."""
        newest = newest_segment_id(part)
        segment = None if newest is None else self._client.workflow(newest)
        parts = NO_PARTS if segment is None else Parts(self._client).of(segment.tasks)
        yield from Waits(self._client, part).of(segment, parts)

    # ---- the model ------------------------------------------------------------------------------------

    def _model(self, task: TaskRecord, tasks: list[TaskRecord]) -> Reason:
        model = f"{task.input_data.get('llmProvider')}/{task.input_data.get('model')}"
        before = next((other for other in tasks if other.task_id == task.retried_task_id), None)
        if not task.start_time and before is not None:
            refused = reason_text(before.reason_for_incompletion or before.status)
            return Reason(
                kind="model_retry",
                text=f"{model} failed: {refused} Attempt {task.retry_count + 1} is due {self._in(task.due)}.",
                since=moment(before.end_time),
            )
        if not task.start_time:
            return Reason(
                kind="model_queued",
                text=f"The call of {model} waits for the server to make it, since {self._ago(task.scheduled_time)}.",
                since=moment(task.scheduled_time),
            )
        return Reason(
            kind="model_running",
            text=f"{model} has not answered yet, since {self._ago(task.start_time)}.",
            since=moment(task.start_time),
        )

    # ---- tools ----------------------------------------------------------------------------------------

    def _in_worker(self, task: TaskRecord, parts: Mapping[str, WorkflowRecord]) -> Iterator[Reason]:
        others = [request_of(parts[each]) for each in waited_for(task) if each in parts]
        asked = [request for request in others if request is not None and request.status == "waiting"]
        yield from (person_reason(request, self._now) for request in asked)
        if not asked:
            yield self._tool(task)

    def _tool(self, task: TaskRecord) -> Reason:
        if task.status == "IN_PROGRESS":
            return self._taken(task)
        mismatch = task.notes.mismatch
        if mismatch is not None and mismatch.open:
            tool = tool_of_task(task.task_def_name)
            missing = _missing(task, mismatch.at, self._last_poll(task), mismatch.why)
            return self._lacks(task, missing, f"with another version of {tool}", mismatch.why, task.worker_id)
        failures = task.notes.failures
        if failures and task.due / 1000 > self._now:
            return self._put_off(task, failures[-1])
        return self._untaken(task)

    def _taken(self, task: TaskRecord) -> Reason:
        tool = tool_of_task(task.task_def_name)
        begun = max(task.start_time, *(failure.at for failure in task.notes.failures), 0)
        silent = self._now - task.update_time / 1000
        if silent > RESPONSE_TIMEOUT:
            return Reason(
                kind="tool_lost",
                text=f"The worker {task.worker_id} ran {tool} and has been silent for {brief(silent)}: "
                "the call goes to another worker.",
                since=moment(task.update_time),
                tool=tool,
                worker=task.worker_id,
                next=(self._serve(),),
                task_id=task.task_id,
            )
        return Reason(
            kind="tool_running",
            text=_doing(task, tool, self._ago(begun)),
            since=moment(begun),
            tool=tool,
            worker=task.worker_id,
            task_id=task.task_id,
        )

    def _put_off(self, task: TaskRecord, last: Failure) -> Reason:
        tool = tool_of_task(task.task_def_name)
        return Reason(
            kind="tool_retry",
            text=f"Attempt {last.attempt} of {tool} failed: {last.error} The next one is due {self._in(task.due)}.",
            since=moment(last.at),
            tool=tool,
            next=self._by_hand(task, "again", "   tries it now"),
            task_id=task.task_id,
        )

    def _untaken(self, task: TaskRecord) -> Reason:
        tool = tool_of_task(task.task_def_name)
        if self._now - task.due / 1000 < WAITING_AFTER:
            return self._queued(task, f"{tool} waits for a worker, since {self._ago(task.due)}.")
        last = self._last_poll(task)
        if last is not None and last.domain == BUSY and self._is_lately(last):
            return self._has_no_place(task, self._busy(task.task_def_name, last))
        if last is None or not self._is_lately(last):
            asked = f"the last one asked {self._ago(last.last_poll_time)} ago" if last else "none has ever asked for it"
            missing = _missing(task, task.due, last)
            return self._lacks(task, missing, f"that serves {tool}", f"{asked}.", last.worker_id if last else None)
        waiting = self._client.queue_sizes([task.task_def_name]).get(task.task_def_name, 0)
        text = (
            f"{tool} waits for its turn, since {self._ago(task.due)}: workers serve it, {waiting} calls are in its "
            "queue, and they are busy or its limits are reached."
        )
        return self._queued(task, text, last.worker_id)

    def _queued(self, task: TaskRecord, text: str, worker: str | None = None) -> Reason:
        return Reason(
            kind="tool_queued",
            text=text,
            since=moment(task.due),
            tool=tool_of_task(task.task_def_name),
            worker=worker,
            next=("agentspan worker list    shows who serves it",),
            task_id=task.task_id,
        )

    def _has_no_place(self, task: TaskRecord, busy: BusyWorker) -> Reason:
        since = int(busy.since.timestamp() * 1000)
        return Reason(
            kind="worker_busy",
            text=f"The worker {busy.worker_id} serves {busy.tool}, and all its places have been taken for "
            f"{self._ago(since)}; {busy.waiting} calls wait.",
            since=busy.since,
            tool=busy.tool,
            worker=busy.worker_id,
            next=(self._serve(), "Or give it more places: --concurrency N, or AGENTSPAN_CONCURRENCY."),
            task_id=task.task_id,
            busy=busy,
        )

    def _last_poll(self, task: TaskRecord) -> PollRecord | None:
        return max(self._client.polls(task.task_def_name), key=lambda poll: poll.last_poll_time, default=None)

    def _is_lately(self, poll: PollRecord) -> bool:
        return self._now - poll.last_poll_time / 1000 <= POLLED_LATELY

    def _busy(self, queue: str, last: PollRecord) -> BusyWorker:
        worker_id, _, seconds = (last.worker_id or "").partition(" ")
        since = last.last_poll_time - int(1000 * float(seconds or 0))
        return BusyWorker(
            tool=tool_of_task(queue),
            task_name=queue,
            worker_id=worker_id,
            since=moment(since),
            waiting=self._client.queue_sizes([queue]).get(queue, 0),
        )

    def _lacks(self, task: TaskRecord, missing: MissingWorker, wanted: str, why: str, worker: str | None) -> Reason:
        since = int(missing.since.timestamp() * 1000)
        return Reason(
            kind="missing_worker",
            text=f"It needs a worker {wanted}, since {self._ago(since)}: {why}",
            since=missing.since,
            tool=missing.tool,
            worker=worker,
            next=(self._serve(), *self._by_hand(task, "answer", "VALUE    gives its result by hand")),
            missing=missing,
        )

    def _by_hand(self, task: TaskRecord, verb: str, rest: str) -> tuple[str, ...]:
        """What a person can do about a tool's call."""
        if task.kind != "tool":
            return ()
        return (f"{_command(verb, self._run)} {tool_of_task(task.task_def_name)} {rest}",)

    def _serve(self) -> str:
        agent = self._run.workflow_definition["metadata"]["agent"]
        return f"agentspan worker start MODULE:AGENT    with the agent {agent}"

    def _ago(self, milliseconds: int) -> str:
        return ago(self._now, milliseconds)

    def _in(self, milliseconds: int) -> str:
        return due_in(self._now, milliseconds)


def _each_request_once(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Without those that tell of a request which one before them tells of, of another member of a team."""
    known: set[str] = set()
    for reason in reasons:
        request = None if reason.request is None else reason.request.id
        if request is None or request not in known:
            yield reason
        known |= {request} if request is not None else set()


def _missing(task: TaskRecord, since: int, last: PollRecord | None, mismatch: str | None = None) -> MissingWorker:
    return MissingWorker(
        tool=tool_of_task(task.task_def_name),
        task_name=task.task_def_name,
        since=moment(since),
        last_poll=moment(last.last_poll_time) if last and last.last_poll_time else None,
        mismatch=mismatch,
    )


def ending(run: WorkflowRecord) -> Reason:
    """Why a run is over, and how to go on with it.

    Args:
        run: The run, ended; its tasks are not needed.
    """
    since = moment(run.end_time)
    reason = run.reason_for_incompletion or run.status
    if run.status == "COMPLETED":
        return Reason(
            kind="answered", text=f"It is over, with an answer: `{_command('result', run)}` prints it.", since=since
        )
    if run.output.get("finish_reason") == "max_turns":
        most = run.workflow_definition["metadata"]["max_turns"]
        return Reason(
            kind="out_of_turns",
            text=f"It used all of its {most} steps and still asked for a tool.",
            since=since,
            next=("Start a new run with a larger max_turns.",),
        )
    if run.output.get("finish_reason") in (INVALID, REFUSED):
        invalid = run.output["finish_reason"] == INVALID
        return Reason(
            kind="failed",
            text=f"It failed: {failure_text(run)}",
            since=since,
            next=(START_ANEW if invalid else ANOTHER_PROMPT,),
        )
    if is_over_budget(run.output):
        return Reason(kind="failed", text=f"It failed: {reason}", since=since, next=(ANOTHER_BUDGET,))
    failure = model_failure(reason)
    hint = failure.hint if failure and failure.hint else "Remove the cause."
    text, kind = _ENDINGS[run.status]
    retry = _command("retry", run)
    return Reason(
        kind=kind,
        text=f"{text}: {reason_text(reason)}",
        since=since,
        next=(hint, f"{retry}    goes on at the very call that failed")
        if kind == "failed"
        else (f"{retry}    goes on where it stopped",),
    )


_ENDINGS: dict[str, tuple[str, ReasonKind]] = {
    "FAILED": ("It failed", "failed"),
    "TERMINATED": ("It was cancelled", "cancelled"),
    "TIMED_OUT": ("It met its agent's time limit", "timed_out"),
}


def _command(verb: str, run: WorkflowRecord) -> str:
    return f"agentspan agent {verb} {run.workflow_id}"


def _doing(task: TaskRecord, tool: str, since: str) -> str:
    if task.kind in ("llm", "summary"):
        return f"The model has not answered the worker {task.worker_id} yet, since {since}."
    return f"The worker {task.worker_id} runs {tool}, since {since}."
