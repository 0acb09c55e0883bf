"""What members beside each other store of the budget that they use up together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

BEGUN = "begun"
"""In the run of their team: the task that tells what was used before they began."""

TOGETHER = "together"
"""Likewise: the task that tells what they have used together, once all of them are done."""


def counted_reference(number: int) -> str:
    """Likewise: the task that tells what a member had used once it was done."""
    return f"counted_{number}"


@dataclass(frozen=True, kw_only=True)
class PoolInput:
    """The input of a look.

    Attributes:
        team: The run of the team; None where somebody has begun the member by itself.
        member: The reference name of the member's task there.
        own: What the member itself had used before the turn.
        warn_at: The part of a limit from which on that is told.
    """

    team: str | None
    member: str
    own: Json
    warn_at: float

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> PoolInput:
        """Read it from the input of the task."""
        called_by = given.get("called_by") or {}
        return cls(
            team=called_by.get("execution_id"),
            member=str(called_by.get("call")),
            own=given["own"],
            warn_at=float(given["warn_at"]),
        )


@dataclass(frozen=True, kw_only=True)
class PoolNotes:
    """What a look leaves when it is put off.

    Attributes:
        since: When it was put off first; milliseconds since 1970, 0 where it was not.
        claims: Whether it would ask a person, unless another one does.
        waits_for: The requests of others by which it was put off, oldest first.
    """

    since: int = 0
    claims: bool = False
    waits_for: tuple[str, ...] = ()

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> PoolNotes:
        """Read them from the output of the task."""
        found = output.get("pool") or {}
        return cls(**{**found, "waits_for": tuple(found.get("waits_for") or ())})

    def to_json(self) -> Json:
        """The part of the task's output that holds them."""
        return {"pool": {"since": self.since, "claims": self.claims, "waits_for": list(self.waits_for)}}
