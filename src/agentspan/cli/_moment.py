"""Moments on the command line: an age such as `7d`, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


When = datetime | timedelta
"""A moment, or how long ago it was."""


def moment(when: When, client: Conductor) -> datetime:
    """The moment that was meant; an age counts from now by the server's clock, which all times of runs have."""
    if not isinstance(when, timedelta):
        return when
    client.check()
    return client.moment() - when


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """An age before now, or a date with or without a time; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        """The moment that `value` means."""
        if isinstance(value, When):
            return value
        try:
            return _when(str(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age such as 30m, 12h or 7d nor a date such as 2026-11-01.", param, ctx)


def _when(text: str) -> When:
    age = _AGE.fullmatch(text)
    if age:
        return timedelta(**{_UNITS[age[2]]: float(age[1])})
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
