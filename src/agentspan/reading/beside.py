"""Requests to people that stand in no step of a run: about a turn that has not begun, or of a team."""

from __future__ import annotations

from collections.abc import Iterator

from agentspan.declare.approval import Request
from agentspan.engine.client import Conductor
from agentspan.reading.history import History
from agentspan.reading.team import members_in
from agentspan.reading.turns import asked_beside


def asked_before_steps(client: Conductor, execution_id: str) -> Iterator[Request]:
    """What people are, or were, asked about a turn that has not begun: it waits for that, or the run ended by it.

    Of a team also what is asked about its prompt and its answer, which are no member's.

    Args:
        client: The server.
        execution_id: The run.
    """
    history = History(client, execution_id)
    _, newest = history.latest()
    if newest is None:
        return
    segment = history.stored(newest.record)
    begun = {turn.step for turn in segment.turns}
    for step, requests in sorted(asked_beside(segment).items()):
        if step not in begun:
            yield from requests
    for member in members_in(newest.record) if segment.team is not None else ():
        if member.sub_workflow_id is not None:
            yield from asked_before_steps(client, member.sub_workflow_id)
