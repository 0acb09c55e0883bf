"""`agentspan worker list`: who serves which tool, and what waits for it."""

from __future__ import annotations

import click

from agentspan.cli._agent import agent_name
from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit_all, example, output_option, say, table
from agentspan.cli._text import flat
from agentspan.reading.durations import brief
from agentspan.reading.queues import WorkerQueue, worker_queues

_FORGOTTEN = 24 * 3600.0
"""Seconds without a poll after which a tool that nothing waits for is left out."""


@click.command("list", epilog=example("agentspan worker list --agent support"))
@agent_name("tools")
@click.option("--all", "everything", is_flag=True, help="Also tools that nobody has served for a day.")
@output_option
@click.pass_obj
def list_workers(session: Session, agent: str | None, everything: bool, output: Output) -> None:
    """Say who serves which tool, and what waits for it.

    WORKER is the one that asked for calls last; the server remembers one for each tool. A worker all of whose places
    are taken is busy. QUEUED counts calls that wait, not those that a worker is at.
    """
    client = session.runtime().client
    found, now = worker_queues(client), client.now()
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


def _matters(queue: WorkerQueue, now: float) -> bool:
    return queue.queued > 0 or (queue.last_poll is not None and now - queue.last_poll.timestamp() < _FORGOTTEN)


def _row(queue: WorkerQueue, now: float) -> tuple[str, ...]:
    polled = f"{brief(max(0.0, now - queue.last_poll.timestamp()))} ago" if queue.last_poll else "never"
    served = ("busy" if queue.busy else "yes") if queue.served else "no"
    return queue.agent, queue.tool, served, flat(queue.worker or "-"), polled, str(queue.queued)
