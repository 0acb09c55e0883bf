"""What an earlier try of a segment has finished.

A run that is retried goes on where it failed, but for what was cut off beside that: the engine begins the segment of
another member, or of another call of an agent, anew (docs/engine.md). What was finished in it stands on the server.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.worker.call import Call

Json = dict[str, Any]

KEPT = 1024
"""Segments of which is kept that they were looked at."""

_AS_REPORTED = {"COMPLETED": "COMPLETED", "COMPLETED_WITH_ERRORS": "FAILED_WITH_TERMINAL_ERROR"}
"""What was reported of a call that is over, by what the engine has made of it."""


class Earlier:
    """Reads once for each segment of a member or a called agent: nobody else's are begun anew.

    Args:
        client: The server.
    """

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._looked: OrderedDict[str, None] = OrderedDict()

    def outcomes(self, call: Call) -> Iterator[tuple[TaskRecord, Json]]:
        """The calls that were finished in earlier tries of a call's segment, and what was reported of them.

        Raises:
            ServerError: The server cannot be asked now.
        """
        segment, execution_id = call.task.workflow_instance_id, call.given.execution_id
        if call.served.caller is None or segment == execution_id or segment in self._looked:
            return
        begun = self._client.workflow(execution_id).tasks
        for earlier in _tries_before(segment, begun):
            for task in self._client.workflow(earlier).tasks:
                if task.in_worker and task.status in _AS_REPORTED:
                    yield task, _reported(task)
        self._looked[segment] = None
        while len(self._looked) > KEPT:
            self._looked.popitem(last=False)


def _tries_before(segment: str, begun: Sequence[TaskRecord]) -> Iterator[str]:
    """The executions that were begun as a segment before this one was, oldest first."""
    own = next((task for task in begun if task.sub_workflow_id == segment), None)
    if own is None:
        return
    for task in begun:
        is_same = task.reference_task_name == own.reference_task_name and task.retry_count < own.retry_count
        if is_same and task.sub_workflow_id not in (None, segment):
            yield str(task.sub_workflow_id)


def _reported(task: TaskRecord) -> Json:
    reason = {"reasonForIncompletion": task.reason_for_incompletion} if task.reason_for_incompletion else {}
    return {"status": _AS_REPORTED[task.status], "outputData": task.output_data, **reason}
