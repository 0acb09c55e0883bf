"""What an execution has begun in workflows of its own: calls that need a person, other agents, their segments."""

from __future__ import annotations

from collections.abc import Iterable

from agentspan.engine.client import Conductor
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
