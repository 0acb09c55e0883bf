"""Deciding about budgets that are used up, by the ids of the requests."""

from __future__ import annotations

from typing import Unpack

from agentspan.control import budgets
from agentspan.declare.budget import Extension
from agentspan.engine.client import Conductor
from agentspan.runtime import aio


class Budgets:
    """What the inbox can do with requests about budgets."""

    client: Conductor

    def extend(self, request_id: str, *, by: str | None = None, **more: Unpack[Extension]) -> None:
        """Let a run use more than its budget.

        Args:
            request_id: The request.
            by: Who decides, for who looks at it later.
            **more: By how much each limit is extended: `cost=1.5`, `tokens=10_000`, ….

        Raises:
            Conflict: It is decided already, or its run is over.
            InputError: The budget has no such limit, the run has used more than it would have then, or the request is
                about no budget.
            NotFound: There is no such request.
        """
        budgets.extend(self.client, request_id, {**more}, by=by)

    def finish(self, request_id: str, *, by: str | None = None) -> None:
        """Have a run whose budget is used up end with an answer: the model gives it without tools.

        Args:
            request_id: The request.
            by: Who decides, for who looks at it later.

        Raises:
            Conflict: It is decided already, or its run is over.
            InputError: The request is about no budget.
            NotFound: There is no such request.
        """
        budgets.finish(self.client, request_id, by=by)

    async def extend_async(self, request_id: str, *, by: str | None = None, **more: Unpack[Extension]) -> None:
        """Let a run use more than its budget; see `extend`."""
        await aio.in_thread(lambda: self.extend(request_id, by=by, **more))

    async def finish_async(self, request_id: str, *, by: str | None = None) -> None:
        """Have a run end with an answer; see `finish`."""
        await aio.in_thread(lambda: self.finish(request_id, by=by))
