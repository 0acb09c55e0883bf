"""Which of many runs wait for a person, by the server's index: a few searches, however many runs there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentspan.errors import NotFound
from agentspan.reading.index import Owned
from agentspan.reading.requests import request_of
from agentspan.stored.person import RequestKind, RequestSpec
from agentspan.stored.status import ENDED

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor
    from agentspan.engine.records import RunSummary

SEARCHED = 100
"""Parents in one search: their ids stand in its URL."""

PAGE = 1_000
"""Children that are asked for at once."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A request that a run waits for, its own or that of an agent that it has called.

    Attributes:
        request_id: The request.
        kind: What for.
        tool: The tool; what a guardrail looked at, where that was no call.
    """

    request_id: str
    kind: RequestKind
    tool: str

    @property
    def told(self) -> str:
        """What is waited for, in a few words."""
        return self.kind if self.kind == "budget" else f"{self.kind} of {self.tool}"

    def to_json(self) -> dict[str, Any]:
        """The request as JSON-able values."""
        return asdict(self)


def asking_by_run(client: Conductor, runs: Iterable[RunSummary], owned: Owned) -> dict[str, list[Asking]]:
    """The requests that runs wait for, by the run; those that wait for none are left out.

    Args:
        client: The server.
        runs: The runs, as the index has them.
        owned: The agents that are known.
    """
    run_of = {run.workflow_id: run.workflow_id for run in runs if run.status not in ENDED}
    found: dict[str, list[Asking]] = {}
    level = list(run_of)
    while level:
        children = list(_open_children(client, level))
        for child in children:
            run_of[child.workflow_id] = run_of[child.parent_workflow_id]
            asked = _asking(client, child, owned)
            if asked is not None:
                found.setdefault(run_of[child.workflow_id], []).append(asked)
        level = [child.workflow_id for child in children]
    return found


def _open_children(client: Conductor, parents: list[str]) -> Iterator[RunSummary]:
    for first in range(0, len(parents), SEARCHED):
        query = f"parentWorkflowId IN ({','.join(parents[first : first + SEARCHED])}) AND status IN (RUNNING,PAUSED)"
        start = 0
        while page := client.search(query, start=start, size=PAGE):
            yield from page
            start += PAGE
            if len(page) < PAGE:
                break


def _asking(client: Conductor, row: RunSummary, owned: Owned) -> Asking | None:
    spec = RequestSpec.of(owned.definition(row.workflow_type, row.version).get("metadata", {}))
    if spec is None or (spec.kind == "approval" and not _waits(client, row.workflow_id)):
        return None
    return Asking(request_id=row.workflow_id, kind=spec.kind, tool=spec.tool)


def _waits(client: Conductor, request_id: str) -> bool:
    """Whether a person is asked about a call now: before that there is a check, and after it the call itself."""
    try:
        request = request_of(client.workflow(request_id))
    except NotFound:  # somebody is deleting it
        return False
    return request is not None and request.status == "waiting"
