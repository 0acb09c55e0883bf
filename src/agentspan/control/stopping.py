"""Stopping a run: what is at work finishes, and the model answers with what there is.

The engine is asked to skip the model's call of the next turn. So nothing of the turn that is at work changes, no run
pays for a look at whether it is to stop, and the wish is stored with the run. A worker that finds a call skipped asks
the model without tools in the turn after it.

The engine takes no lock for that (docs/engine.md). Where it begins the very call at that moment, only the one of both
is stored that came first: where that is the call, the wish is lost, and a later call is skipped; where it is the wish,
the engine has begun nothing, and never will. So a call is skipped that is not begun soon: the next one where what is at
work has been so for a while, and where all goes quickly the one after that. Should it come to that all the same, as a
tool ends at that very moment, it is told.
"""

from __future__ import annotations

import time
from contextlib import suppress

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord
from agentspan.errors import Conflict, ServerRejected
from agentspan.reading.history import History
from agentspan.reading.run import is_skipped, loops, newest_segment_id
from agentspan.stored.format import IN_WORKER, format_of
from agentspan.stored.names import TURNS_PER_SEGMENT
from agentspan.stored.team import TeamSpec

PATIENCE = 10.0
"""Seconds that the next segment gets to begin: at the end of one there is no call to be skipped."""

LOOK = 0.05
"""Seconds between two looks at it."""

STEADY = 0.3
"""Seconds that something has been at work when it is no more likely to end at once."""

STANDS = 5.0
"""Seconds without anything at work after which nothing will be."""

QUICK = 0.6
"""Seconds after which a run whose tasks all end sooner than that is taken to go on so."""


def stop(client: Conductor, history: History) -> None:
    """Have a run end with an answer once its turn is over.

    Raises:
        Conflict: The run is over or paused, its model is called by the server, it cannot be stopped at this turn, or
            the engine has left out the turn after it and the run stands still.
    """
    run = history.run()
    if run.status != "RUNNING":
        raise Conflict(
            f"Run {history.execution_id} is {run.status}: it cannot be stopped.",
            hint="To be stopped, a run must be RUNNING.",
        )
    if TeamSpec.of(run.workflow_definition["metadata"]) is not None:
        raise Conflict(
            f"Run {history.execution_id} is a team's: its members end one by one.",
            hint="`cancel` ends it without an answer; a member's own run can be stopped.",
        )
    if not loops(run):
        return  # its only turn is its last one
    if format_of(run.workflow_definition["metadata"]) < IN_WORKER:
        raise Conflict(
            f"Run {history.execution_id} has its model called by the server, which cannot be told to come to an end.",
            hint="`cancel` ends it without an answer; an agent with model_place='worker' can be stopped.",
        )
    begun = time.monotonic()
    while not _stopped(client, history, quick=time.monotonic() - begun > QUICK):
        if time.monotonic() - begun > PATIENCE:
            raise Conflict(
                f"Run {history.execution_id} is in the last turn of a segment, where it cannot be stopped.",
                hint="Stop it once that turn is over.",
            )
        time.sleep(LOOK)
    begun = time.monotonic()
    while not _goes_on(client, history):
        if time.monotonic() - begun > STANDS:
            raise Conflict(
                f"Run {history.execution_id} stands still: the engine was about to begin the turn that it was to "
                "pass over, and has begun none.",
                hint="`cancel` ends it, without an answer; start it anew.",
            )
        time.sleep(LOOK)


def _goes_on(client: Conductor, history: History) -> bool:
    """Whether something of the newest segment is at work, or it is over."""
    run = client.workflow(history.execution_id)
    segment = newest_segment_id(run)
    if run.ended or segment is None:
        return True
    record = client.workflow(segment)
    return record.ended or any(task.status in PENDING for task in record.tasks)


def _stopped(client: Conductor, history: History, *, quick: bool) -> bool:
    """Whether a call of the newest segment is seen to be skipped, or the run has ended; else one may be skipped now.

    Args:
        client: The server.
        history: The run.
        quick: Whether all that was at work lately took no time.
    """
    run = client.workflow(history.execution_id)
    segment = newest_segment_id(run)
    tasks = [] if segment is None else client.tasks(segment, 0)
    if run.ended or any(is_skipped(task) for task in tasks):
        return True
    following = _newest_turn(tasks) + (2 if quick else 1)
    at_work = [task for task in tasks if task.status in PENDING]
    is_steady = quick or (at_work and all(_age(client, task) > STEADY for task in at_work))
    # The last one of a segment hands on what the next segment begins with.
    if segment is not None and following < TURNS_PER_SEGMENT and is_steady:
        with suppress(Conflict, ServerRejected):  # it has just begun, or the segment has just ended
            client.call("PUT", f"/workflow/{segment}/skiptask/llm_{following}")
    return False


def _age(client: Conductor, task: TaskRecord) -> float:
    return client.now() - max(task.scheduled_time, task.start_time) / 1000


def _newest_turn(tasks: list[TaskRecord]) -> int:
    return max((task.place[1] for task in tasks if task.place is not None and task.kind == "llm"), default=0)
