"""What a worker stores with a call beside its result: the tries that raised, a version that did not fit, guardrails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agentspan.stored.guard import Guarded, guarded_of

_TOKENS = "failed_tokens"
"""Beside the failures: what tries have used, by their number."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A try of a call whose tool raised.

    Attributes:
        attempt: Which one, from 1.
        error: What it said.
        at: Milliseconds since 1970, by the server's clock.
        final: Whether no other try follows.
        tokens: What it has used all the same, and that costs; None where nothing is known of that.
    """

    attempt: int
    error: str
    at: int
    final: bool = False
    tokens: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A call that does not fit the version of the tool that a worker serves; milliseconds since 1970.

    Attributes:
        at: When the first worker handed it back.
        why: Which version that one serves, and what does not fit.
        open: Whether no worker has taken it since.
        until: When one took it.
    """

    at: int
    why: str
    open: bool
    until: int | None = None


@dataclass(frozen=True)
class Notes:
    """The notes of one call."""

    failures: tuple[Failure, ...] = ()
    mismatch: Mismatch | None = None
    guards: tuple[Guarded, ...] = ()

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> Notes:
        """Read them from the output of the call's task."""
        tokens = output.get(_TOKENS) or {}
        noted = output.get("failures") or ()
        failures = tuple(Failure(**each, tokens=tokens.get(str(each["attempt"]))) for each in noted)
        mismatch = output.get("mismatch")
        return cls(failures, Mismatch(**mismatch) if mismatch else None, guarded_of(output))

    def to_json(self) -> dict[str, Any]:
        """The part of a task's output that holds them; nothing where there is nothing to note."""
        found: dict[str, Any] = {}
        if self.failures:
            found["failures"] = [_without_tokens(failure) for failure in self.failures]
            tokens = {str(failure.attempt): failure.tokens for failure in self.failures if failure.tokens}
            found |= {_TOKENS: tokens} if tokens else {}
        if self.mismatch is not None:
            mismatch = asdict(self.mismatch)
            found["mismatch"] = {name: value for name, value in mismatch.items() if value is not None}
        if self.guards:
            found["guards"] = [guard.to_json() for guard in self.guards]
        return found


def _without_tokens(failure: Failure) -> dict[str, Any]:
    found = asdict(failure)
    del found["tokens"]  # they stand beside it, as workers of before would not know what to do with them
    return found
