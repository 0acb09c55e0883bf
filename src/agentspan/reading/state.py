"""The state of a run, and who changed it, from what is stored of its turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentspan.reading.history import History
from agentspan.reading.run import StoredTurn
from agentspan.stored.plan import PlannedCall
from agentspan.stored.state import STATE, StateChange, fold, merged

Json = dict[str, Any]


def state_of(history: History) -> Json | None:
    """The state of a run as of now: with what the calls of its newest turn have changed that are over.

    None where it has none, or before its first turn.
    """
    for segment in history.segments():
        planned = [turn for turn in segment.turns if turn.plan is not None]
        if planned:
            begun = _begun_with(planned[-1])
            return None if begun is None else merged(begun, (report for _, report in _reports(planned[-1])))
    return None


def changes_of(history: History) -> list[StateChange]:
    """All changes of the state of a run, oldest first."""
    turns = [turn for segment in reversed(list(history.segments())) for turn in segment.turns]
    return [change for turn in turns for change in _changes(turn)]


def _begun_with(turn: StoredTurn) -> Json | None:
    """The state that a turn began with; None where it has none, as where the server calls the model."""
    asked = turn.model[-1]
    return (asked.output_data.get("result") or {}).get(STATE) if asked.in_worker else None


def _reports(turn: StoredTurn) -> list[tuple[PlannedCall, Json]]:
    if _begun_with(turn) is None:
        return []
    return [(call.planned, (call.told or {}).get(STATE) or {}) for call in turn.calls]


def _changes(turn: StoredTurn) -> Iterator[StateChange]:
    before: dict[str, list[str]] = {}
    reports = _reports(turn)
    for made in fold(dict(_begun_with(turn) or {}), (report for _, report in reports)):
        call, by = reports[made.place][0], before.setdefault(made.field, [])
        yield StateChange(
            step=turn.step,
            tool=call.tool,
            call_id=call.id,
            field=made.field,
            action=made.action,
            value=made.value,
            overwrote=tuple(by) if made.replaces else (),
            unfit=made.unfit,
        )
        by.append(call.tool)
