"""Settle one call of a run, from any process and without the agent's code: answer it, skip it, have it tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord
from agentspan.errors import Conflict, InputError, NotFound, ServerError
from agentspan.reading.history import History
from agentspan.reading.run import StoredCall
from agentspan.reading.team import called_in
from agentspan.schema.values import MAX_BYTES, ResultError, check_text, to_jsonable
from agentspan.stored.inputs import CallInput
from agentspan.stored.intervention import Intervention, Verb, interventions_of, with_intervention

LONGEST = 2_000
"""Characters of a reason, and of who gives it."""

Json = dict[str, Any]


def answer(client: Conductor, history: History, call: str, value: Any, by: str) -> None:
    """Give a call the result that its tool would have given.

    Args:
        client: The server.
        history: The run.
        call: The model's id of the call, the beginning of it, or its tool where only one of its calls is open.
        value: The result.
        by: Who says so.

    Raises:
        Conflict: The run is over, or the call was over just before; or it is for other hands: a person's, an agent's.
        InputError: The value cannot be carried as JSON, or the name fits several calls.
        NotFound: No such call of the run is open.
    """
    task = _open(client, history, call)
    try:
        result = to_jsonable(value, CallInput.of(task.input_data).max_bytes or MAX_BYTES)
    except ResultError as error:
        raise InputError(f"The answer for {call}: {error}") from error
    _settle(client, history, task, "answered", by, {"status": "COMPLETED", "outputData": {"result": result}})


def skip(client: Conductor, history: History, call: str, reason: str, by: str) -> None:
    """Tell the model that a call was not made.

    Args:
        client: The server.
        history: The run.
        call: As for `answer`.
        reason: What the model reads.
        by: Who says so.

    Raises:
        Conflict: The run is over, or the call was over just before; or it is for other hands: a person's, an agent's.
        InputError: The reason is too long, or the name fits several calls.
        NotFound: No such call of the run is open.
    """
    told = f"The call was skipped: {_short(reason, 'reason')}"
    report = {
        "status": "FAILED_WITH_TERMINAL_ERROR",
        "reasonForIncompletion": told[:500],
        "outputData": {"error": told},
    }
    _settle(client, history, _open(client, history, call), "skipped", by, report)


def try_again(client: Conductor, history: History, call: str, by: str) -> None:
    """Have a call tried again now, by whatever worker takes it; who is at it is told that nobody waits for it.

    Args:
        client: The server.
        history: The run.
        call: As for `answer`.
        by: Who says so.

    Raises:
        Conflict: The run is over, or the call was over just before; or it is for other hands: a person's, an agent's.
        InputError: The name fits several calls.
        NotFound: No such call of the run is open.
    """
    task = _open(client, history, call)
    report = {"status": "FAILED", "reasonForIncompletion": f"{by} had it tried again.", "outputData": {}}
    _settle(client, history, task, "retried", by, report)


def _open(client: Conductor, history: History, named: str) -> TaskRecord:
    """The task of the open call that a name stands for."""
    run = history.run()
    if run.ended:
        raise Conflict(f"Run {history.execution_id} is {run.status}: none of its calls is open.")
    known = list(_calls(client, history))
    calls = [call for call in known if call.attempts and call.told is None]
    fitting = _fitting(calls, named)
    listed = ", ".join(f"{call.planned.id} ({call.planned.tool})" for call in calls)
    hint = f"Open are {listed}." if listed else "No call is open now; `agentspan agent why` says what it waits for."
    if not fitting and any(call.planned.id == named for call in known):
        raise Conflict(f"The call {named} of run {history.execution_id} is over.", hint=hint)
    if not fitting:
        raise NotFound(f"Run {history.execution_id} has no open call {named!r}.", hint=hint)
    if len(fitting) > 1:
        raise InputError(f"Several open calls of run {history.execution_id} are called {named!r}.", hint=hint)
    (call,) = fitting
    if call.called is not None:
        raise Conflict(
            f"The call {named} is an agent at work, run {call.called}.", hint="That run has calls of its own to settle."
        )
    if not call.made or call.made[-1].status not in PENDING:
        raise Conflict(
            f"The call {named} waits for a person to decide about it.",
            hint="`agentspan request list` shows what waits.",
        )
    return call.made[-1]


def _calls(client: Conductor, history: History) -> Iterator[StoredCall]:
    """The calls of the run's present step, in the model's order, and those of the agents that are at work in it."""
    run, newest = history.latest()
    if run.ended or newest is None:
        return
    segment = history.stored(newest.record)
    below = [task.sub_workflow_id for task in called_in(segment.record) if task.status in PENDING]
    for call in segment.turns[-1].calls if segment.turns else ():
        yield call
        if call.told is None:
            below.append(call.called)
    for execution_id in below:
        if execution_id is not None:
            with suppress(NotFound):  # it is a person that is asked, and no agent
                yield from _calls(client, History(client, execution_id))


def _fitting(calls: list[StoredCall], named: str) -> list[StoredCall]:
    exact = [call for call in calls if call.planned.id == named]
    return exact or [call for call in calls if call.planned.tool == named or call.planned.id.startswith(named)]


def _settle(client: Conductor, history: History, task: TaskRecord, verb: Verb, by: str, report: Json) -> None:
    """Report for a task in its worker's place, and see whether that counted."""
    name = _short(by, "by")
    at_work = task.worker_id if task.status == "IN_PROGRESS" else None
    done = Intervention(verb=verb, by=name, at=int(client.now() * 1000), cut_off=at_work)
    output = {**report["outputData"], **_noted(task), **with_intervention(task.output_data, done)}
    address = {"taskId": task.task_id, "workflowInstanceId": task.workflow_instance_id, "workerId": f"person {name}"}
    client.update_task({**address, **report, "outputData": output})
    if done not in interventions_of(client.task(task.task_id).output_data):  # the server passes over a late report
        raise Conflict(f"The call {task.input_data.get('call_id')} of run {history.execution_id} was over just before.")
    with suppress(ServerError):  # it looks by itself, a little later
        run = CallInput.of(task.input_data).execution_id
        for execution_id in dict.fromkeys((task.workflow_instance_id, run, history.execution_id)):
            client.decide(execution_id)


def _noted(task: TaskRecord) -> Json:
    """What workers have noted, but for an end that is none now."""
    notes = task.notes
    return replace(notes, failures=tuple(each for each in notes.failures if not each.final)).to_json()


def _short(text: str, what: str) -> str:
    if len(check_text(text, what)) > LONGEST or not text.strip():
        raise InputError(f"{what} must be a text of 1 to {LONGEST:,} characters")
    return text
