"""The state that the calls of a run share: what a call changed, as it is stored with its result, and what comes of it.

What a turn's calls changed is merged once they are over, in the order in which the model made them. See ADR 0031.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]

STATE = "state"
"""Where a plan has the state that its calls begin with, a call's input the same, and its output what it changed."""

CHANGED = "changed"
"""Where a plan has what its run has changed of a state that its caller lent it."""

Action = Literal["set", "add"]


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """A change that a call made of its run's state.

    Attributes:
        step: The turn.
        tool: What made it.
        call_id: The model's id of the call.
        field: What it changed.
        action: `set` where it gave a value, `add` where it added to what was there.
        value: What it gave, or added.
        overwrote: Tools whose changes of the same turn it replaced, as it did not know of them.
        unfit: Whether it cannot be added to what is there, as no number is so large: the run fails by it.
    """

    step: int
    tool: str
    call_id: str
    field: str
    action: Action
    value: Any
    overwrote: tuple[str, ...] = ()
    unfit: bool = False

    def to_json(self) -> Json:
        """The change as JSON-able values; that it does not fit only where that is so."""
        values = {**self.__dict__, "overwrote": list(self.overwrote)}
        return values if self.unfit else {name: value for name, value in values.items() if name != "unfit"}


@dataclass(frozen=True)
class Folded:
    """A change as it was made of a state.

    Attributes:
        place: Which of the reports has it, from 0.
        replaces: Whether what was there is replaced.
        unfit: Whether it was not made, as no number is so large.
    """

    place: int
    action: Action
    field: str
    value: Any
    replaces: bool = False
    unfit: bool = False


def fold(state: Json, reports: Iterable[Mapping[str, Any]]) -> Iterator[Folded]:
    """Change a state as calls of a turn did, in their order; each change as it was made.

    Args:
        state: What they began with, which is changed.
        reports: What each of them changed; empty of one that changed nothing.
    """
    for place, report in enumerate(reports):
        for action, field, value in actions(report):
            made = Folded(place, action, field, value, replaces=action == "set")
            try:
                state[field] = value if action == "set" else added_to(state.get(field), value)
            except TypeError:  # another call has given the field a value of another type
                state[field], made = value, Folded(place, action, field, value, replaces=True)
            except OverflowError:
                made = Folded(place, action, field, value, unfit=True)
            yield made


def merged(state: Mapping[str, Any], reports: Iterable[Mapping[str, Any]]) -> Json:
    """The state after some calls of a turn.

    Args:
        state: What they began with.
        reports: What each of them changed, in their order; empty of one that changed nothing.
    """
    found = dict(state)
    for _ in fold(found, reports):
        pass
    return found


def _added(before: Any, value: Any) -> Any:
    try:
        return added_to(before, value)
    except (TypeError, OverflowError):  # of another type; or too large, by which the run fails
        return value


def together(reports: Iterable[Mapping[str, Any]]) -> Json:
    """What several calls, one after the other, have changed, as the report of one."""
    given: Json = {}
    more: Json = {}
    for report in reports:
        for action, field, value in actions(report):
            if action == "set":
                given[field] = value
                more.pop(field, None)
            else:
                changed = given if field in given else more
                changed[field] = _added(changed.get(field), value)
    return {name: values for name, values in (("set", given), ("add", more)) if values}


def actions(report: Mapping[str, Any]) -> Iterator[tuple[Action, str, Any]]:
    """What a call changed: how, which field, and the value."""
    for field, value in (report.get("set") or {}).items():
        yield "set", field, value
    for field, value in (report.get("add") or {}).items():
        yield "add", field, value


def added_to(before: Any, value: Any) -> Any:
    """A value with another one added: numbers are summed, lists go on, of dicts the newer value of a key stays.

    Raises:
        OverflowError: No number is so large.
        TypeError: One cannot be added to the other.
    """
    if before is None:
        return value
    if isinstance(before, dict) and isinstance(value, dict):
        return {**before, **value}
    if isinstance(before, list) and isinstance(value, list):
        return [*before, *value]
    if _is_number(before) and _is_number(value):
        total = before + value
        if not math.isfinite(total):
            raise OverflowError(f"no number is so large as {before} and {value} together")
        return total
    raise TypeError(f"{type(value).__name__} cannot be added to {type(before).__name__}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
