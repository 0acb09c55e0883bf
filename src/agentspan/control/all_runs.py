"""Pause and resume all runs of an agent."""

from __future__ import annotations

from collections.abc import Callable

from agentspan.control import verbs
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict, NotFound
from agentspan.reading.history import History
from agentspan.reading.index import Filter, runs
from agentspan.stored.status import RunStatus


def pause_all(client: Conductor, agent: str) -> list[str]:
    """Pause the runs of an agent that are running now; their ids. Those that begin later are not paused."""
    return _each(client, agent, "RUNNING", verbs.pause)


def resume_all(client: Conductor, agent: str) -> list[str]:
    """Resume the runs of an agent that are paused now; their ids."""
    return _each(client, agent, "PAUSED", verbs.resume)


def _each(client: Conductor, agent: str, status: RunStatus, verb: Callable[[Conductor, History], None]) -> list[str]:
    done: list[str] = []
    # All first: a run that is paused leaves the list, and the pages after it would move.
    for run in list(runs(client, Filter(agent=agent, statuses=(status,)))):
        try:
            verb(client, History(client, run.workflow_id))
        except (Conflict, NotFound):  # it has just ended, or somebody else was quicker
            continue
        done.append(run.workflow_id)
    return done
