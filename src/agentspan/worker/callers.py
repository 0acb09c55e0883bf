"""Whose call a run is: that of an agent which another one has called."""

from __future__ import annotations

from collections import OrderedDict

from agentspan.engine.client import Conductor
from agentspan.errors import NotFound

KEPT = 1024
"""Runs whose callers are kept."""


class Callers:
    """Asks the server once for each run.

    Args:
        client: The server.
    """

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._known: OrderedDict[str, str | None] = OrderedDict()

    def of(self, execution_id: str) -> str | None:
        """The run whose agent has called that of this one; None where somebody has started it.

        Raises:
            ServerError: The server cannot be asked now.
        """
        if execution_id not in self._known:
            try:
                given = self._client.workflow(execution_id, tasks=False).input
            except NotFound:
                given = {}
            self._known[execution_id] = (given.get("called_by") or {}).get("execution_id")
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known.get(execution_id)
