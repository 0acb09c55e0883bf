"""Deciding about a budget that is used up: more of it, or a last answer, from any process, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspan.control.decisions import check, decide, waiting
from agentspan.engine.client import Conductor
from agentspan.errors import InputError
from agentspan.stored.budget import Spent


def extend(client: Conductor, request_id: str, more: Mapping[str, Any], *, by: str | None = None) -> None:
    """Let a run use more.

    Args:
        client: The server.
        request_id: The request.
        more: By how much each limit is extended; what is None is not.
        by: Who decides.

    Raises:
        Conflict: It is decided already, or its run is over.
        InputError: The budget has no such limit, the run has used more than it would have then, or nothing was asked
            about a budget.
        NotFound: There is no such request.
    """
    request, task = waiting(client, request_id, "budget")
    extension = {limit: value for limit, value in more.items() if value is not None}
    check(extension, request.schema, "an extension", request.id)
    spent = Spent.of(request.args)
    for limit in spent.over:
        if spent.spent[limit] >= spent.limits[limit] + extension.get(limit, 0):
            least = spent.spent[limit] - spent.limits[limit]
            raise InputError(
                f"That is not enough: {spent.told(limit)} is used.", hint=f"Extend {limit} by more than {least:g}."
            )
    decide(client, request, task, {"approved": True, "extend": extension}, by)


def finish(client: Conductor, request_id: str, *, by: str | None = None) -> None:
    """Have a run's model answer with what there is, without tools.

    Args:
        client: The server.
        request_id: The request.
        by: Who decides.

    Raises:
        Conflict: It is decided already, or its run is over.
        InputError: Nothing was asked about a budget.
        NotFound: There is no such request.
    """
    request, task = waiting(client, request_id, "budget")
    decide(client, request, task, {"approved": True, "finish": True}, by)
