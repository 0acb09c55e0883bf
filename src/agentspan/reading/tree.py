"""What an execution has begun in workflows of its own: calls that need a person, other agents, their segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, WorkflowRecord
from agentspan.errors import NotFound


def below(client: Conductor, execution_ids: Iterable[str]) -> list[str]:
    """Ids of all that these executions have begun, deepest first."""
    found: list[str] = []
    for execution_id in execution_ids:
        try:
            tasks = client.workflow(execution_id).tasks
        except NotFound:  # somebody has deleted it
            continue
        begun = dict.fromkeys(task.sub_workflow_id for task in tasks if task.sub_workflow_id)
        found += [*below(client, begun), *begun]
    return found


def open_below(client: Conductor, execution_id: str) -> Iterator[WorkflowRecord]:
    """What goes on in an execution in workflows of its own, each before what it has begun itself."""
    return _open_in(client, client.workflow(execution_id))


def _open_in(client: Conductor, record: WorkflowRecord) -> Iterator[WorkflowRecord]:
    for task in record.tasks:
        if task.status in PENDING and task.sub_workflow_id:
            begun = client.workflow(task.sub_workflow_id)
            yield begun
            yield from _open_in(client, begun)
