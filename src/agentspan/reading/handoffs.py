"""Who was at work in a run that agents hand over: what its events and its status say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from agentspan.reading.drafts import Answered, Draft, Within
from agentspan.reading.run import StoredSegment, StoredTurn


def begun_drafts(turn: StoredTurn) -> Iterator[Draft]:
    """That an agent took over as a turn began, by what the calls before it returned."""
    if turn.plan is not None and turn.plan.came_from:
        yield Draft(type="handoff", step=turn.step, at=turn.planned_at, details={"target": turn.agent})


def ended_drafts(turn: StoredTurn) -> Iterator[Draft]:
    """That an agent takes over after a turn."""
    if turn.next != turn.agent:
        at = max([turn.planned_at, *(call.attempts[-1].end_time for call in turn.calls if call.attempts)])
        yield Draft(type="handoff", step=turn.step, at=at, details={"target": turn.next})


def named(segment: StoredSegment, drafts: Iterable[Draft | Within | Answered]) -> Iterator[Draft | Within | Answered]:
    """The events of a segment with who was at work."""
    agent = segment.first
    for draft in drafts:
        if not isinstance(draft, Draft):
            yield draft
            continue
        yield replace(draft, agent=agent)
        agent = draft.details["target"] if draft.type == "handoff" else agent


def at_work(drafts: Sequence[Draft]) -> str | None:
    """Who is at work after these events of a run; None of one that agents do not hand over."""
    own = next((draft for draft in reversed(drafts) if not draft.path), None)
    if own is None or own.agent is None:
        return None
    return str(own.details["target"]) if own.type == "handoff" else own.agent
