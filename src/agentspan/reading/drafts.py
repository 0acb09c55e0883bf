"""Events before they have their place in the sequence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentspan.engine.records import TaskRecord
from agentspan.reading.durations import moment
from agentspan.reading.events import AnyEvent, EventName, event_of
from agentspan.reading.waits import WAITING_AFTER
from agentspan.stored.usage import Usage, added

CLOCKS_DIFFER = 2.0
"""Seconds by which a reader may take the server's clock to be ahead of what it is: its answers tell the second, and the
nodes of a cluster differ. So no reader shows a wait that the others never see."""

ENDED_THERE = "The run was ended from outside, and retried later."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An event before it has its place in the sequence."""

    type: EventName
    step: int
    at: int
    details: dict[str, Any] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    agent: str | None = None
    usage: Usage | None = None
    once: Hashable | None = None
    """What it tells of, where several members of a team tell it and the first of them counts."""

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
            usage=self.usage,
            **self.details,
        )


@dataclass(frozen=True)
class Answered:
    """A model has answered: the next event of the run tells what it used."""

    usage: Usage


def told(drafts: Iterable[Draft | Answered]) -> list[Draft]:
    """The events, each with what was used since the one before it; what was used after the last one is not told yet."""
    found: list[Draft] = []
    used: list[Usage] = []
    known: set[Hashable] = set()
    for draft in drafts:
        if isinstance(draft, Answered):
            used.append(draft.usage)
            continue
        if draft.once is not None and draft.once in known:
            continue
        known.add(draft.once)
        if used:
            own = () if draft.usage is None else (draft.usage,)
            draft = replace(draft, usage=Usage.of(added(usage.to_json() for usage in (*used, *own))))
            used = []
        found.append(draft)
    return found


@dataclass(frozen=True)
class Within:
    """The place of the events of an agent that was called.

    Attributes:
        execution_id: Its run.
        agent: What it is called in the caller's events: the tool's name.
    """

    execution_id: str
    agent: str


def end_drafts(attempts: Sequence[TaskRecord], place: int, step: int) -> Iterator[Draft]:
    """What the run's end left of an attempt it cut off: nothing, as the end itself is told last, unless it went on.

    Args:
        attempts: All attempts, oldest first.
        place: Which one was cut off.
        step: Its turn of the run.
    """
    if place + 1 < len(attempts):
        yield Draft(type="error", step=step, at=attempts[place].end_time, details={"error": ENDED_THERE})
        yield Draft(type="resumed", step=step, at=attempts[place + 1].scheduled_time)


def untaken_drafts(task: TaskRecord, who: dict[str, Any], step: int, now: int) -> Iterator[Draft]:
    """That no worker took a call for a while, and that one did then.

    Args:
        task: The call.
        who: Which call of the model it is.
        step: Its turn of the run.
        now: Milliseconds since 1970.
    """
    due = task.scheduled_time + 1000 * task.callback_after_seconds
    taken = task.start_time or task.end_time or now - int(CLOCKS_DIFFER * 1000)
    if taken - due < WAITING_AFTER * 1000:
        return
    at = due + int(WAITING_AFTER * 1000)
    yield Draft(type="waiting", step=step, at=at, details={**who, "error": "No worker has taken it."})
    if task.start_time:
        yield Draft(type="resumed", step=step, at=task.start_time, details=who)
