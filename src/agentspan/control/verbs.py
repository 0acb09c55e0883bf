"""Pause, resume, cancel and retry a run, from any process."""

from __future__ import annotations

import time
from contextlib import suppress
from urllib.parse import quote

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, WorkflowRecord
from agentspan.errors import Conflict, InputError
from agentspan.reading.history import History
from agentspan.reading.output import ANOTHER_BUDGET, ANOTHER_PROMPT, START_ANEW, refused_by
from agentspan.reading.tree import ended_itself, open_below, where_it_failed
from agentspan.schema.values import check_text
from agentspan.stored.budget import is_over_budget
from agentspan.stored.output import INVALID

LONGEST_REASON = 4_000
"""Bytes of a reason as it stands in an address; Tomcat takes 8 KB for a request and its headers."""

BEGINNING = 5.0
"""Seconds that a segment, or a part, which was just scheduled gets to begin, so that it can be paused."""

LOOK = 0.01
"""Seconds between two looks at it."""


def pause(client: Conductor, history: History) -> None:
    """Stop a run at its next task; what runs now finishes.

    Raises:
        Conflict: The run is over, or paused already.
    """
    _expect(history, "paused", "RUNNING")
    # Conductor pauses the one execution it is given. The run first: from then on it begins no other segment.
    client.pause(history.execution_id)
    _pause_below(client, history.execution_id)


def _pause_below(client: Conductor, execution_id: str) -> None:
    """Pause what an execution has begun that is paused itself, and so begins nothing more but what was due."""
    for begun in _begun(client, execution_id):
        with suppress(Conflict):  # it has just ended
            client.pause(begun)
        _pause_below(client, begun)


def _begun(client: Conductor, execution_id: str) -> list[str]:
    """Ids of what is open in an execution, once all of that has begun."""
    deadline = time.monotonic() + BEGINNING
    while True:
        tasks = client.workflow(execution_id).tasks
        due = [task for task in tasks if task.task_type == "SUB_WORKFLOW" and task.status in PENDING]
        begun = [task.sub_workflow_id for task in due if task.sub_workflow_id]
        if len(begun) == len(due) or time.monotonic() > deadline:
            return begun
        time.sleep(LOOK)


def resume(client: Conductor, history: History) -> None:
    """Go on with a run that was paused.

    Raises:
        Conflict: The run is not paused.
    """
    _expect(history, "resumed", "PAUSED")
    # The run last: until then it is PAUSED, and whoever dies on the way can resume it again.
    for begun in reversed(list(open_below(client, history.execution_id))):
        if begun.status == "PAUSED":
            client.resume(begun.workflow_id)
    client.resume(history.execution_id)


def cancel(client: Conductor, history: History, reason: str) -> None:
    """End a run.

    Raises:
        Conflict: The run is over.
        InputError: The reason is longer than an address may be.
    """
    if len(quote(check_text(reason, "reason"))) > LONGEST_REASON:
        raise InputError(f"reason is too long: it stands in an address, which has {LONGEST_REASON:,} bytes for it")
    _expect(history, "cancelled", "RUNNING", "PAUSED")
    client.terminate(history.execution_id, reason)


def retry(client: Conductor, history: History) -> None:
    """Go on at the very call that failed.

    Raises:
        Conflict: The run is alive, or ended with an answer.
    """
    run = _expect(history, "retried", "FAILED", "TERMINATED", "TIMED_OUT")
    if run.output.get("finish_reason") == INVALID:
        raise Conflict(
            f"Run {history.execution_id} failed by answers that did not fit; there is no failed call to go on from.",
            hint=START_ANEW,
        )
    guard = refused_by(run)
    if guard is not None:
        raise Conflict(
            f"The guardrail {guard.name} ended run {history.execution_id}; there is no failed call to go on from.",
            hint=ANOTHER_PROMPT,
        )
    if is_over_budget(run.output):
        raise Conflict(
            f"Run {history.execution_id} was ended as its budget was used up; there is no failed call to go on from.",
            hint=ANOTHER_BUDGET,
        )
    if run.output.get("finish_reason") == "max_turns":
        raise Conflict(
            f"Run {history.execution_id} used all its turns; there is no failed call to go on from.",
            hint="Start a new run with a larger max_turns.",
        )
    ended = ended_itself(client, history.execution_id)  # Conductor's retry would have the run stand still for ever
    if ended is not None:
        raise Conflict(
            f"Run {history.execution_id} has no failed call to go on from: {ended.workflow_name} in it ended by "
            f"itself: {ended.reason_for_incompletion}",
            hint="Start a new run.",
        )
    client.retry(where_it_failed(client, history.execution_id))


def _expect(history: History, done: str, *statuses: str) -> WorkflowRecord:
    run = history.run()
    if run.status not in statuses:
        raise Conflict(
            f"Run {history.execution_id} is {run.status}: it cannot be {done}.",
            hint=f"To be {done}, a run must be {' or '.join(statuses)}.",
        )
    return run
