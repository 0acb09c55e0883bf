"""Reads the queues of what workers serve: who asked for calls last, and how many wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentspan.engine.client import BUSY, Conductor
from agentspan.engine.records import PollRecord
from agentspan.reading.durations import moment
from agentspan.reading.waits import POLLED_LATELY
from agentspan.stored.names import OWNER, model_task_name, tool_of_task


@dataclass(frozen=True, kw_only=True)
class WorkerQueue:
    """A tool as the server knows it.

    Attributes:
        task_name: Its queue.
        queued: Calls that wait; those that a worker is at are in no queue any more.
        worker: The worker that asked last; the server remembers no other.
        last_poll: When it did; None when nobody ever has.
        served: Whether that was lately enough for the tool to count as served.
        busy: Whether all places of that worker were taken then, so that it took nothing.
    """

    task_name: str
    queued: int
    worker: str | None
    last_poll: datetime | None
    served: bool
    busy: bool

    @property
    def agent(self) -> str:
        """The agent whose tool or model it is."""
        return self.task_name.partition(".")[0]

    @property
    def tool(self) -> str:
        """The tool's name, or the model's."""
        return tool_of_task(self.task_name)

    def to_json(self) -> dict[str, Any]:
        """It as JSON, for `agentspan worker list`."""
        return {
            "agent": self.agent,
            "tool": self.tool,
            "task_name": self.task_name,
            "served": self.served,
            "busy": self.busy,
            "worker": self.worker,
            "last_poll": self.last_poll.isoformat() if self.last_poll else None,
            "queued": self.queued,
        }


def worker_queues(client: Conductor) -> list[WorkerQueue]:
    """The queues of all tools, and of all models that workers call, that the server knows; by name."""
    names = sorted(
        str(definition["name"])
        for definition in client.task_definitions()
        if definition.get("ownerApp") == OWNER and _is_served(definition)
    )
    polls: dict[str, PollRecord] = {}
    for poll in client.all_polls():
        known = polls.get(poll.queue_name)
        if known is None or known.last_poll_time < poll.last_poll_time:
            polls[poll.queue_name] = poll
    sizes, now = client.queue_sizes(names), client.now()
    return [_queue(name, sizes.get(name, 0), polls.get(name), now) for name in names]


def _is_served(definition: Mapping[str, Any]) -> bool:
    """Whether workers serve it: a tool, or a model that the server does not call."""
    agent, dot, _ = str(definition["name"]).partition(".")
    of_server = definition["name"] == model_task_name(agent) and not definition.get("inputKeys")
    return bool(dot) and not of_server


def _queue(name: str, queued: int, poll: PollRecord | None, now: float) -> WorkerQueue:
    return WorkerQueue(
        task_name=name,
        queued=queued,
        worker=poll.worker_id.partition(" ")[0] if poll and poll.worker_id else None,
        last_poll=moment(poll.last_poll_time) if poll else None,
        served=poll is not None and now - poll.last_poll_time / 1000 < POLLED_LATELY,
        busy=poll is not None and poll.domain == BUSY,
    )
