"""The server's clock, as this process knows it.

What a run stores has the server's times, and what is due is decided by them: by a local clock that is a minute behind,
a dead worker would be noticed a minute late. Each answer of the server says what its clock showed, to the second,
between the moment of the question and that of the answer. Together the answers of a few seconds leave little doubt.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from math import inf


def wait_told(retry_after: str | None, date: str | None) -> float | None:
    """Seconds to wait by a `Retry-After`: a number, or a moment by the clock of whoever answered.

    Args:
        retry_after: The header; None where there is none.
        date: The answer's `Date`. Without it this machine's clock counts, which may be hours off.
    """
    told = retry_after or ""
    try:
        return max(0.0, float(told) if told.replace(".", "", 1).isdigit() else _moment(told) - _now(date))
    except (TypeError, ValueError, OverflowError):
        return None


def _now(date: str | None) -> float:
    try:
        return _moment(date or "")
    except (TypeError, ValueError, OverflowError):
        return time.time()


def _moment(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


class ServerClock:
    """Tells the server's time; this machine's own, as long as no answer contradicts it."""

    def __init__(self) -> None:
        self._bounds = (-inf, inf)  # of what the server's clock is ahead of `time.monotonic`
        self._read: tuple[str | None, float] = (None, 0.0)

    def now(self) -> float:
        """Seconds since 1970 on the server's clock."""
        low, high = self._bounds
        monotonic = time.monotonic()
        return monotonic + min(max(time.time() - monotonic, low), high)

    def heard(self, date: str | None, asked: float, answered: float) -> None:
        """Learn from an answer.

        Args:
            date: Its `Date`, as HTTP has it.
            asked: When the question was sent, by `time.monotonic`.
            answered: When the answer was there.
        """
        second = self._second(date)
        if second is None:
            return
        low, high = self._bounds
        here = (second - answered, second + 1 - asked)
        narrowed = (max(low, here[0]), min(high, here[1]))
        # Nothing fits both when a clock was set, or when another node answers, whose clock differs.
        self._bounds = narrowed if narrowed[0] <= narrowed[1] else here

    def _second(self, date: str | None) -> float | None:
        if date is None:
            return None
        text, second = self._read
        if text != date:
            try:
                second = parsedate_to_datetime(date).timestamp()
            except ValueError:  # a proxy's own words
                return None
            self._read = (date, second)
        return second
