"""`agentspan agent why`: what a run waits for, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._app import Session
from agentspan.cli._output import Output, brief, emit, emit_all, example, output_option, status_lines
from agentspan.cli._text import flat, plain
from agentspan.engine.client import Conductor
from agentspan.engine.failure import model_failure, reason_text
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.reading.history import POLLED_LATELY, History, busy_worker
from agentspan.reading.projection import mismatch_of
from agentspan.reading.result import AgentStatus, BusyWorker
from agentspan.stored.lease import RESPONSE_TIMEOUT
from agentspan.stored.names import tool_of_task, turn_of

Kind = Literal[
    "answered",
    "failed",
    "out_of_turns",
    "cancelled",
    "timed_out",
    "paused",
    "model_queued",
    "model_running",
    "model_retry",
    "missing_worker",
    "worker_busy",
    "tool_queued",
    "tool_running",
    "tool_lost",
    "tool_retry",
    "engine",
]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that a run waits for, or why it is over.

    Attributes:
        kind: Which one, for programs.
        text: The same in a sentence.
        since: Since when.
        tool: The tool it is about.
        worker: The worker it is about.
        next: What to do, in words or as a command; empty when it goes on by itself.
    """

    kind: Kind
    text: str
    since: datetime | None = None
    tool: str | None = None
    worker: str | None = None
    next: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON-able values."""
        since = self.since.isoformat() if self.since else None
        return {**self.__dict__, "since": since, "next": list(self.next)}


@click.command("why", epilog=example("agentspan agent why 7744cf11"))
@agent_id
@output_option
@click.pass_context
def why(context: click.Context, execution_id: str, output: Output) -> None:
    """Say what a run waits for, since when, and what to do.

    Of a run that is over it says how it ended, and how to go on.
    """
    handle = handle_of(context, execution_id)
    status = handle.get_status()
    reasons = list(_Reader(handle.runtime.client, status, context.ensure_object(Session).program).reasons())
    if output == "text":
        click.echo(next(status_lines(status, handle.runtime.client.moment())))
        for reason in reasons:
            click.echo("\n".join(_lines(reason)))
    elif output == "json":
        emit({**status.to_json(), "reasons": [reason.to_json() for reason in reasons]}, output)
    else:
        emit_all((reason.to_json() for reason in reasons), output)


def _lines(reason: Reason) -> Iterator[str]:
    yield f"  why      {flat(reason.text)}"
    for step in reason.next:
        yield f"  next     {plain(step)}"


class _Reader:
    """Reads a run's reasons from the server."""

    def __init__(self, client: Conductor, status: AgentStatus, program: str) -> None:
        self._client = client
        self._status = status
        self._program = program
        self._now = client.now()

    def reasons(self) -> Iterator[Reason]:
        """What the run waits for, most telling first."""
        run, newest = History(self._client, self._status.execution_id).latest()
        if run.ended:
            yield self._ending(run)
            return
        segment = None if newest is None else newest.record
        if run.status == "PAUSED":
            yield self._paused(run)
        tasks = segment.tasks if segment else []
        pending = [task for task in tasks if task.status in PENDING]
        waits = [self._model(task, tasks) for task in pending if _kind(task) == "llm"]
        waits += [self._tool(task) for task in pending if _kind(task) == "tool"]
        yield from waits
        if not waits and run.status != "PAUSED":
            yield self._engine(run, segment)

    def _command(self, verb: str) -> str:
        return f"{self._program} agent {verb} {self._status.execution_id}"

    def _ending(self, run: WorkflowRecord) -> Reason:
        since = _moment(run.end_time)
        reason = run.reason_for_incompletion or run.status
        if run.status == "COMPLETED":
            return Reason(
                kind="answered",
                text=f"It is over, with an answer: `{self._command('result')}` prints it.",
                since=since,
            )
        if run.output.get("finish_reason") == "max_turns":
            return Reason(
                kind="out_of_turns",
                text=f"It used all of its {self._status.max_steps} steps and still asked for a tool.",
                since=since,
                next=("Start a new run with a larger max_turns.",),
            )
        failure = model_failure(reason)
        hint = failure.hint if failure and failure.hint else "Remove the cause."
        text, kind = _ENDINGS[run.status]
        return Reason(
            kind=kind,
            text=f"{text}: {reason_text(reason)}",
            since=since,
            next=(hint, f"{self._command('retry')}    goes on at the very call that failed")
            if kind == "failed"
            else (f"{self._command('retry')}    goes on where it stopped",),
        )

    def _paused(self, run: WorkflowRecord) -> Reason:
        return Reason(
            kind="paused",
            text=f"Somebody paused it, {self._ago(run.update_time)} ago or earlier.",
            since=_moment(run.update_time),
            next=(self._command("resume"),),
        )

    def _engine(self, run: WorkflowRecord, segment: WorkflowRecord | None) -> Reason:
        moved = max((task.end_time for task in segment.tasks), default=0) if segment else 0
        since = moved or run.start_time or run.create_time
        return Reason(
            kind="engine",
            text=f"The server has the next move, since {self._ago(since)}.",
            since=_moment(since),
            next=(f"{self._command('watch')}    makes it look again, if that lasts",),
        )

    # ---- the model ------------------------------------------------------------------------------------

    def _model(self, task: TaskRecord, tasks: list[TaskRecord]) -> Reason:
        model = f"{task.input_data.get('llmProvider')}/{task.input_data.get('model')}"
        before = next((other for other in tasks if other.task_id == task.retried_task_id), None)
        due = task.scheduled_time + 1000 * task.callback_after_seconds
        if not task.start_time and before is not None:
            refused = reason_text(before.reason_for_incompletion or before.status)
            return Reason(
                kind="model_retry",
                text=f"{model} failed: {refused} Attempt {task.retry_count + 1} is due {self._in(due)}.",
                since=_moment(before.end_time),
            )
        if not task.start_time:
            return Reason(
                kind="model_queued",
                text=f"The call of {model} waits for the server to make it, since {self._ago(task.scheduled_time)}.",
                since=_moment(task.scheduled_time),
            )
        return Reason(
            kind="model_running",
            text=f"{model} has not answered yet, since {self._ago(task.start_time)}.",
            since=_moment(task.start_time),
        )

    # ---- tools ----------------------------------------------------------------------------------------

    def _tool(self, task: TaskRecord) -> Reason:
        if task.status == "IN_PROGRESS":
            return self._tool_taken(task)
        failures = task.output_data.get("failures", [])
        due = task.scheduled_time + 1000 * task.callback_after_seconds
        if failures:
            due = failures[-1]["at"] + 1000 * task.callback_after_seconds
        if failures and due / 1000 > self._now:
            last = failures[-1]
            return Reason(
                kind="tool_retry",
                text=f"Attempt {last['attempt']} of {tool_of_task(task.task_def_name)} failed: {last['error']} "
                f"The next one is due {self._in(due)}.",
                since=_moment(last["at"]),
                tool=tool_of_task(task.task_def_name),
            )
        return self._tool_untaken(task, due)

    def _tool_taken(self, task: TaskRecord) -> Reason:
        tool = tool_of_task(task.task_def_name)
        begun = max(task.start_time, *(failure["at"] for failure in task.output_data.get("failures", [])), 0)
        silent = self._now - task.update_time / 1000
        if silent > RESPONSE_TIMEOUT:
            return Reason(
                kind="tool_lost",
                text=f"The worker {task.worker_id} ran {tool} and has been silent for {brief(silent)}: "
                "the call goes to another worker.",
                since=_moment(task.update_time),
                tool=tool,
                worker=task.worker_id,
                next=(self._serve(),),
            )
        said = self._client.task_log(task.task_id)
        progress = f" It says: {said[-1]}" if said else ""
        return Reason(
            kind="tool_running",
            text=f"The worker {task.worker_id} runs {tool}, since {self._ago(begun)}.{progress}",
            since=_moment(begun),
            tool=tool,
            worker=task.worker_id,
        )

    def _tool_untaken(self, task: TaskRecord, due: int) -> Reason:
        tool = tool_of_task(task.task_def_name)
        mismatch = mismatch_of(task)
        if mismatch is not None and mismatch.open:
            return self._missing(tool, f"with another version of {tool}", mismatch.at, mismatch.why, task.worker_id)
        busy = busy_worker(self._client, task.task_def_name)
        if busy is not None:
            return self._busy(busy)
        polls = sorted(self._client.polls(task.task_def_name), key=lambda poll: poll.last_poll_time)
        last = polls[-1] if polls else None
        if last is None or self._now - last.last_poll_time / 1000 > POLLED_LATELY:
            asked = f"the last one asked {self._ago(last.last_poll_time)} ago" if last else "none has ever asked for it"
            return self._missing(tool, f"that serves {tool}", due, f"{asked}.", last.worker_id if last else None)
        waiting = self._client.queue_sizes([task.task_def_name]).get(task.task_def_name, 0)
        return Reason(
            kind="tool_queued",
            text=f"{tool} waits for its turn, since {self._ago(due)}: workers serve it, {waiting} calls are in its "
            "queue, and they are busy or its limits are reached.",
            since=_moment(due),
            tool=tool,
            worker=last.worker_id,
            next=(f"{self._program} worker list    shows who serves it",),
        )

    def _busy(self, busy: BusyWorker) -> Reason:
        since = int(busy.since.timestamp() * 1000)
        return Reason(
            kind="worker_busy",
            text=f"The worker {busy.worker_id} serves {busy.tool}, and all its places have been taken for "
            f"{self._ago(since)}; {busy.waiting} calls wait.",
            since=busy.since,
            tool=busy.tool,
            worker=busy.worker_id,
            next=(self._serve(), "Or give it more places: --concurrency N, or AGENTSPAN_CONCURRENCY."),
        )

    def _missing(self, tool: str, wanted: str, since: int, why: str, worker: str | None) -> Reason:
        return Reason(
            kind="missing_worker",
            text=f"It needs a worker {wanted}, since {self._ago(since)}: {why}",
            since=_moment(since),
            tool=tool,
            worker=worker,
            next=(self._serve(),),
        )

    def _serve(self) -> str:
        return f"{self._program} worker start MODULE:AGENT    with the agent {self._status.agent}"

    def _ago(self, milliseconds: int) -> str:
        return brief(max(0.0, self._now - milliseconds / 1000))

    def _in(self, milliseconds: int) -> str:
        left = milliseconds / 1000 - self._now
        return f"in {brief(left)}" if left > 0 else "now"


_ENDINGS: dict[str, tuple[str, Kind]] = {
    "FAILED": ("It failed", "failed"),
    "TERMINATED": ("It was cancelled", "cancelled"),
    "TIMED_OUT": ("It met its agent's time limit", "timed_out"),
}


def _kind(task: TaskRecord) -> str | None:
    place = turn_of(task.reference_task_name)
    return None if place is None else place[0]


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
