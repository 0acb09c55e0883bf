"""Runs of agents by the server's index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentspan.stored.names import OWNER

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor
    from agentspan.engine.records import RunSummary

PAGE = 100
"""Runs that are asked for at once; the server gives up to 5,000, but each with all of its input and output."""

_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which runs are wanted.

    Attributes:
        agent: Only those of this agent.
        statuses: Only those in one of these states; empty for all.
        since: Only those that began at this moment or later.
        before: Only those that began earlier.
        metadata: Only those of agents whose `metadata` has these values, each as text or JSON.
    """

    agent: str | None = None
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    before: datetime | None = None
    metadata: tuple[tuple[str, str], ...] = ()

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


def runs(client: Conductor, wanted: Filter, owned: Owned | None = None) -> Iterator[RunSummary]:
    """Runs of agents, newest first: neither their segments, nor what other programs run on the server.

    Each page begins where the one before ended, not after so many runs: those that begin or are deleted meanwhile
    would move the others.

    Args:
        client: The server.
        wanted: Which ones.
        owned: The agents that are known; one of its own unless given.
    """
    owned = owned or Owned(client)
    seen: set[str] = set()
    skipped = 0  # of those that began in the same millisecond
    while True:
        page = client.search(wanted.query(), start=skipped, size=PAGE)
        new = (run for run in page if run.workflow_id not in seen and run.workflow_type in owned)
        yield from (run for run in new if owned.carries(run, wanted.metadata))
        seen.update(run.workflow_id for run in page)
        if len(page) < PAGE:
            return
        oldest = started(page[-1]) + _TICK
        skipped = skipped + len(page) if oldest == wanted.before else 0
        wanted = replace(wanted, before=oldest)


class Owned:
    """The workflows that are agents of ours; each is looked up once."""

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._known: dict[str, bool] = {}
        self._definitions: dict[tuple[str, int], Mapping[str, Any]] = {}

    def __contains__(self, name: str) -> bool:
        if name not in self._known:
            definition = self._client.workflow_definition(name) or {}
            self._definitions[name, int(definition.get("version") or 1)] = definition
            agent = definition.get("metadata", {}).get("agent")
            self._known[name] = definition.get("ownerApp") == OWNER and agent == name
        return self._known[name]

    def definition(self, name: str, version: int) -> Mapping[str, Any]:
        """A version of an agent; empty where somebody has deleted it."""
        if (name, version) not in self._definitions:
            self._definitions[name, version] = self._client.workflow_definition(name, version) or {}
        return self._definitions[name, version]

    def carries(self, run: RunSummary, wanted: Sequence[tuple[str, str]]) -> bool:
        """Whether the agent's metadata, in the version of the run, has these values."""
        if not wanted:
            return True
        carried = self.definition(run.workflow_type, run.version).get("metadata", {}).get("metadata") or {}
        return all(name in carried and _as_text(carried[name]) == value for name, value in wanted)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def started(run: RunSummary) -> datetime:
    """When the run began."""
    return read_moment(run.start_time)


def read_moment(text: str) -> datetime:
    """A moment as the index writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)
