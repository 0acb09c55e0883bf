"""Policies for calling tools and models: small values, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agentspan.errors import DefinitionError

_MAX_ATTEMPTS = 11  # Conductor's retryCount goes to 10
_MAX_SECONDS = 2**31 - 1  # Conductor keeps delays and timeouts in 32 bits

Backoff = Literal["fixed", "linear", "exponential"]


@dataclass(frozen=True)
class Retry:
    """How often and when something is tried again.

    Attributes:
        attempts: All tries, the first one included; `Retry(1)` never tries again. At most 11.
        delay: Seconds before the second try. Conductor counts whole seconds.
        backoff: How the delay grows: not at all, by `delay` each time, or doubling.
        max_delay: Where it stops growing.
    """

    attempts: int = 3
    delay: float = 1
    backoff: Backoff = "exponential"
    max_delay: float | None = None

    def __post_init__(self) -> None:
        check_count(self.attempts, "Retry: attempts", 1, _MAX_ATTEMPTS)
        if self.backoff not in ("fixed", "linear", "exponential"):
            raise DefinitionError(f"Retry: backoff is 'fixed', 'linear' or 'exponential', not {self.backoff!r}")
        object.__setattr__(self, "delay", whole_seconds(self.delay, "Retry: delay", least=0))
        if self.max_delay is not None:
            least = max(1, int(self.delay))
            object.__setattr__(self, "max_delay", whole_seconds(self.max_delay, "Retry: max_delay", least=least))

    def delay_before(self, attempt: int) -> float:
        """Seconds to wait before try number `attempt`, from 2."""
        grown = {"fixed": 1.0, "linear": attempt - 1.0, "exponential": 2.0 ** (attempt - 2)}[self.backoff]
        return min(self.delay * grown, _MAX_SECONDS if self.max_delay is None else self.max_delay)


@dataclass(frozen=True)
class RateLimit:
    """How many calls of a tool may start within a time, over all workers and agents."""

    calls: int
    per_seconds: float = 1

    def __post_init__(self) -> None:
        check_count(self.calls, "RateLimit: calls", 1, _MAX_SECONDS)
        seconds = whole_seconds(self.per_seconds, "RateLimit: per_seconds", least=1)
        object.__setattr__(self, "per_seconds", seconds)


def check_count(value: int, what: str, least: int, most: int) -> None:
    """Refuse a number that is not whole or out of bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DefinitionError(f"{what} must be a whole number from {least:,} to {most:,}, not {value!r}")


def check_kind(value: object, kind: type, what: str) -> None:
    """Refuse what is no such policy; a bare number does not say which of its fields is meant."""
    if not isinstance(value, kind):
        raise DefinitionError(f"{what} must be a {kind.__name__}, not {value!r}", hint=f"Such as {kind.__name__}(5).")


def whole_seconds(value: float, what: str, *, least: int) -> int:
    """Seconds as Conductor counts them; a fraction is refused rather than silently changed."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= _MAX_SECONDS
    if not usable or value != int(value):
        hint = "Conductor counts delays and timeouts in whole seconds."
        if isinstance(value, timedelta):
            hint = "Write its total_seconds()."
        raise DefinitionError(f"{what} must be whole seconds, at least {least}, not {value!r}", hint=hint)
    return int(value)
