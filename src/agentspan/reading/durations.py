"""Times as Conductor stores them, and durations for people."""

from __future__ import annotations

from datetime import UTC, datetime


def brief(seconds: float) -> str:
    """Seconds for people who compare: `0.31s`, `4.2s`, `4m32s`."""
    if seconds < 1:
        return f"{seconds:.2f}s"
    return f"{seconds:.1f}s" if seconds < 60 else duration(seconds)


def duration(seconds: float) -> str:
    """Seconds for people: `12s`, `4m32s`, `1h04m10s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:02}s"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def moment(milliseconds: int) -> datetime:
    """A time as Conductor stores it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ago(now: float, milliseconds: int) -> str:
    """How long since a moment, in milliseconds since 1970; `now` in seconds."""
    return brief(max(0.0, now - milliseconds / 1000))


def due_in(now: float, milliseconds: int) -> str:
    """How long until a moment, in milliseconds since 1970; `now` in seconds."""
    left = milliseconds / 1000 - now
    return f"in {brief(left)}" if left > 0 else "now"
