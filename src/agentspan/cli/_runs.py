"""Find runs of agents on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentspan.errors import InputError, NotFound
from agentspan.stored.names import OWNER, segment_name

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor
    from agentspan.engine.records import RunSummary, WorkflowRecord
    from agentspan.runtime.runtime import AgentRuntime

_PAGE = 100
"""Runs that are asked for at once; the server gives up to 5,000, but each with all of its input and output."""
_TICK = timedelta(milliseconds=1)
_ID = re.compile(r"[\w-]+")
_SHOWN = 5


def find_id(runtime: AgentRuntime, given: str) -> str:
    """The id of the run that `given` names: the id itself, or a beginning that only one run has.

    Raises:
        InputError: It is no id, or several runs begin so.
        NotFound: No run begins so.
    """
    if not _ID.fullmatch(given):
        raise InputError(f"{given!r} is not an execution id.", hint="`agentspan agent list` shows the runs there are.")
    try:
        return _run_of(runtime.client.workflow(given, tasks=False))
    except NotFound as error:
        matches = _beginning_with(runtime.client, given)
        if not matches:
            raise error from None
    if len(matches) > 1:
        listed = ", ".join(run.workflow_id for run in matches[:_SHOWN])
        more = ", …" if len(matches) > _SHOWN else ""
        raise InputError(f"Several runs begin with {given!r}: {listed}{more}", hint="Give more of the id.")
    return matches[0].workflow_id


def _run_of(record: WorkflowRecord) -> str:
    """The run's id, also when that of one of its segments was given, which the server's own UI shows too."""
    parent = record.input.get("execution_id")
    is_segment = record.workflow_name == segment_name(record.workflow_name.partition(".")[0])
    return str(parent) if is_segment and parent else record.workflow_id


def _beginning_with(client: Conductor, prefix: str) -> list[RunSummary]:
    found = client.search(f'workflowId="{prefix}*" AND parentWorkflowId=""', size=_PAGE)
    owned = _Owned(client)
    return [run for run in found if run.workflow_id.startswith(prefix) and run.workflow_type in owned]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which runs are wanted.

    Attributes:
        agent: Only those of this agent.
        statuses: Only those in one of these states; empty for all.
        since: Only those that began at this moment or later.
        before: Only those that began earlier.
    """

    agent: str | None = None
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    before: datetime | None = None

    def query(self) -> str:
        """The filter as the server's index reads it."""
        parts = ['parentWorkflowId=""']
        if self.agent:
            parts.append(f'workflowType="{self.agent}"')
        if self.statuses:
            parts.append(f"status IN ({','.join(self.statuses)})")
        if self.since:
            parts.append(f"startTime>{_milliseconds(self.since) - 1}")
        if self.before:
            parts.append(f"startTime<{_milliseconds(self.before)}")
        return " AND ".join(parts)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def runs(client: Conductor, wanted: Filter) -> Iterator[RunSummary]:
    """Runs of agents, newest first: neither their segments, nor what other programs run on the server.

    Each page begins where the one before ended, not after so many runs: those that begin or are deleted meanwhile
    would move the others.
    """
    owned = _Owned(client)
    seen: set[str] = set()
    skipped = 0  # of those that began in the same millisecond
    while True:
        page = client.search(wanted.query(), start=skipped, size=_PAGE)
        yield from (run for run in page if run.workflow_id not in seen and run.workflow_type in owned)
        seen.update(run.workflow_id for run in page)
        if len(page) < _PAGE:
            return
        oldest = started(page[-1]) + _TICK
        skipped = skipped + len(page) if oldest == wanted.before else 0
        wanted = replace(wanted, before=oldest)


class _Owned:
    """The workflows that are agents of ours; each is looked up once."""

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        if name not in self._known:
            definition = self._client.workflow_definition(name) or {}
            agent = definition.get("metadata", {}).get("agent")
            self._known[name] = definition.get("ownerApp") == OWNER and agent == name
        return self._known[name]


def started(run: RunSummary) -> datetime:
    """When the run began."""
    return _moment(run.start_time)


def ended(run: RunSummary) -> datetime | None:
    """When the run was over."""
    return _moment(run.end_time) if run.end_time else None


def elapsed(run: RunSummary, now: datetime) -> float:
    """Seconds from its start to its end, or to now."""
    return max(0.0, ((ended(run) or now) - started(run)).total_seconds())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def as_json(run: RunSummary, now: datetime) -> dict[str, str | int | float | None]:
    """What a list says about a run."""
    over = ended(run)
    return {
        "execution_id": run.workflow_id,
        "agent": run.workflow_type,
        "version": run.version,
        "status": run.status,
        "started": started(run).isoformat(),
        "ended": over.isoformat() if over else None,
        "elapsed": round(elapsed(run, now), 3),
    }
