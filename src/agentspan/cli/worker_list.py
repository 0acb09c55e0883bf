"""`agentspan worker list`: who serves which tool, and what waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from agentspan.cli._agent import agent_name
from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit_all, example, output_option, say, table
from agentspan.cli._text import flat
from agentspan.engine.client import BUSY, Conductor
from agentspan.engine.records import PollRecord
from agentspan.reading.durations import brief, moment
from agentspan.reading.waits import POLLED_LATELY
from agentspan.stored.names import OWNER, model_task_name, tool_of_task

_FORGOTTEN = 24 * 3600.0
"""Seconds without a poll after which a tool that nothing waits for is left out."""


@dataclass(frozen=True, kw_only=True)
class _Queue:
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
        return self.task_name.partition(".")[0]

    @property
    def tool(self) -> str:
        return tool_of_task(self.task_name)

    def to_json(self) -> dict[str, Any]:
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


@click.command("list", epilog=example("agentspan worker list --agent support"))
@agent_name("tools")
@click.option("--all", "everything", is_flag=True, help="Also tools that nobody has served for a day.")
@output_option
@click.pass_obj
def list_workers(session: Session, agent: str | None, everything: bool, output: Output) -> None:
    """Say who serves which tool, and what waits for it.

    WORKER is the one that asked for calls last; the server remembers one for each tool. A worker all of whose places
    are taken is busy. QUEUED counts calls that wait,
    not those that a worker is at.
    """
    client = session.runtime().client
    found = _queues(client)
    now = client.now()
    queues = [
        queue for queue in found if (agent is None or queue.agent == agent) and (everything or _matters(queue, now))
    ]
    if output != "text":
        emit_all((queue.to_json() for queue in queues), output)
    elif not queues:
        say("No tool is served, and no call waits." if not everything else "The server knows no tools.")
    else:
        rows = [_row(queue, now) for queue in queues]
        click.echo("\n".join(table(("AGENT", "TOOL", "SERVED", "WORKER", "LAST POLL", "QUEUED"), rows)))


def _queues(client: Conductor) -> list[_Queue]:
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


def _is_served(definition: dict[str, Any]) -> bool:
    """Whether workers serve it: a tool, or a model that the server does not call."""
    agent, dot, _ = str(definition["name"]).partition(".")
    of_server = definition["name"] == model_task_name(agent) and not definition.get("inputKeys")
    return bool(dot) and not of_server


def _queue(name: str, queued: int, poll: PollRecord | None, now: float) -> _Queue:
    return _Queue(
        task_name=name,
        queued=queued,
        worker=poll.worker_id.partition(" ")[0] if poll and poll.worker_id else None,
        last_poll=moment(poll.last_poll_time) if poll else None,
        served=poll is not None and now - poll.last_poll_time / 1000 < POLLED_LATELY,
        busy=poll is not None and poll.domain == BUSY,
    )


def _matters(queue: _Queue, now: float) -> bool:
    return queue.queued > 0 or (queue.last_poll is not None and now - queue.last_poll.timestamp() < _FORGOTTEN)


def _row(queue: _Queue, now: float) -> tuple[str, ...]:
    polled = f"{brief(max(0.0, now - queue.last_poll.timestamp()))} ago" if queue.last_poll else "never"
    served = ("busy" if queue.busy else "yes") if queue.served else "no"
    return queue.agent, queue.tool, served, flat(queue.worker or "-"), polled, str(queue.queued)
