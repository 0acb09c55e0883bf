"""What an execution has begun in workflows of its own: calls that need a person, other agents, their segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from agentspan.engine.records import PENDING, WorkflowRecord
from agentspan.errors import NotFound

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor

_FAILED = ("FAILED", "FAILED_WITH_TERMINAL_ERROR", "TIMED_OUT")
_CUT = ("CANCELED", *_FAILED)


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


def ended_itself(client: Conductor, execution_id: str) -> WorkflowRecord | None:
    """What failed of an execution, itself or below it, without a task that failed: it was decided to end it.

    Args:
        client: The server.
        execution_id: The execution; None is found where it has not failed, or by a task.
    """
    record = client.workflow(execution_id)
    if record.status != "FAILED":
        return None
    failed = [task for task in record.tasks if task.status in _FAILED and not task.retried]
    if not failed:
        return record
    begun = (ended_itself(client, task.sub_workflow_id) for task in failed if task.sub_workflow_id)
    return next((found for found in begun if found is not None), None)


def where_it_failed(client: Conductor, execution_id: str) -> str:
    """The deepest execution, of those that this one has begun, in which a task failed or was cut off.

    Conductor looks for it, too, but only behind the first task of each that did not end well, and that may be one that
    was tried again, or a call beside: then it begins anew what had been begun, which repeats what was done there.
    """
    unfinished = [task for task in client.workflow(execution_id).tasks if task.status in _CUT and not task.retried]
    begun = sorted((task for task in unfinished if task.sub_workflow_id), key=lambda task: task.status == "CANCELED")
    return where_it_failed(client, str(begun[0].sub_workflow_id)) if begun else execution_id


def _open_in(client: Conductor, record: WorkflowRecord) -> Iterator[WorkflowRecord]:
    for task in record.tasks:
        if task.status in PENDING and task.sub_workflow_id:
            begun = client.workflow(task.sub_workflow_id)
            yield begun
            yield from _open_in(client, begun)
