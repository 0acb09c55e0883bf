"""Events before they have their place in the sequence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentspan.reading.durations import moment
from agentspan.reading.events import AnyEvent, EventName, event_of


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event before it has its place in the sequence."""

    type: EventName
    step: int
    at: int
    details: dict[str, Any] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    agent: str | None = None

    def numbered(self, execution_id: str, seq: int) -> AnyEvent:
        """The event at its place."""
        return event_of(
            self.type,
            execution_id=execution_id,
            seq=seq,
            step=self.step,
            timestamp=moment(self.at),
            path=self.path,
            agent=self.agent,
            **self.details,
        )


@dataclass(frozen=True)
class Within:
    """The place of the events of an agent that was called.

    Attributes:
        execution_id: Its run.
        agent: What it is called in the caller's events: the tool's name.
    """

    execution_id: str
    agent: str
