"""Whose call a run is: that of an agent which another one has called, or of a team whose member it is."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from agentspan.engine.client import Conductor
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import NotFound

KEPT = 1024
"""Runs whose callers are kept."""


@dataclass(frozen=True)
class _Above:
    """What is above an execution: the run whose agent has called, and the execution in which that stands."""

    run: str | None = None
    parent: str | None = None

    @classmethod
    def of(cls, record: WorkflowRecord) -> _Above:
        return cls((record.input.get("called_by") or {}).get("execution_id"), record.parent_workflow_id)


class Callers:
    """Asks the server once for each execution, where nobody here has read it yet.

    Args:
        client: The server.
    """

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._known: OrderedDict[str, _Above] = OrderedDict()

    def first(self, execution_id: str) -> str | None:
        """The run that somebody has started, by which this one was called in the end; None where it is that itself.

        Raises:
            ServerError: The server cannot be asked now.
        """
        found, caller = execution_id, self._above(execution_id).run
        while caller is not None:
            found, caller = caller, self._above(caller).run
        return found if found != execution_id else None

    def parent(self, execution_id: str) -> str | None:
        """The execution in which that of this one was begun; None where somebody has started it.

        Raises:
            ServerError: The server cannot be asked now.
        """
        return self._above(execution_id).parent

    def is_in(self, execution_id: str, parent: str) -> bool:
        """Whether an execution is known to have been begun in another one."""
        known = self._known.get(execution_id)
        return known is not None and known.parent == parent

    def learn(self, record: WorkflowRecord) -> None:
        """Somebody has read an execution."""
        self._keep(record.workflow_id, _Above.of(record))

    def _above(self, execution_id: str) -> _Above:
        known = self._known.get(execution_id)
        if known is not None:
            return known
        try:
            found = _Above.of(self._client.workflow(execution_id, tasks=False))
        except NotFound:
            found = _Above()
        self._keep(execution_id, found)
        return found

    def _keep(self, execution_id: str, above: _Above) -> None:
        self._known[execution_id] = above
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
