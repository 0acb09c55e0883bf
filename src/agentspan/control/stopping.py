"""Stopping a run: what is at work finishes, and the model answers with what there is.

The engine is asked to skip the model's call of the next turn. So nothing of the turn that is at work changes, no run
pays for a look at whether it is to stop, and the wish is stored with the run. A worker that finds a call skipped asks
the model without tools in the turn after it.
"""

from __future__ import annotations

import time

from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
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


def stop(client: Conductor, history: History) -> None:
    """Have a run end with an answer once its turn is over.

    Raises:
        Conflict: The run is over or paused, its model is called by the server, or it cannot be stopped at this turn.
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
    deadline = time.monotonic() + PATIENCE
    while not _stopped(client, history):
        if time.monotonic() > deadline:
            raise Conflict(
                f"Run {history.execution_id} is in the last turn of a segment, where it cannot be stopped.",
                hint="Stop it once that turn is over.",
            )
        time.sleep(LOOK)


def _stopped(client: Conductor, history: History) -> bool:
    """Whether the call of the turn after the newest one is skipped now, or the run has ended meanwhile."""
    run = client.workflow(history.execution_id)
    if run.ended:
        return True
    segment = newest_segment_id(run)
    tasks = [] if segment is None else client.tasks(segment, 0)
    if any(is_skipped(task) for task in tasks):
        return True
    following = _newest_turn(tasks) + 1
    if segment is None or following >= TURNS_PER_SEGMENT:  # the last one hands on what the next segment begins with
        return False
    try:
        client.call("PUT", f"/workflow/{segment}/skiptask/llm_{following}")
    except (Conflict, ServerRejected):  # it has just begun, or the segment has just ended
        return False
    return True


def _newest_turn(tasks: list[TaskRecord]) -> int:
    return max((task.place[1] for task in tasks if task.place is not None and task.kind == "llm"), default=0)
