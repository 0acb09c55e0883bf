"""What a run stores of its budget: how much is used of it, and what was decided when it was used up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

Limit = Literal["cost", "tokens", "input_tokens_per_request", "calls", "turns", "time"]

LIMITS: tuple[Limit, ...] = ("cost", "tokens", "input_tokens_per_request", "calls", "turns", "time")
"""What a budget may limit."""

BUDGET = "budget"
"""What stands for a tool in a request about a budget, and in the name of that request's workflow."""

OVER_BUDGET = "over_budget"
"""Why a run ended without an answer that a person, or the deadline, has ended as its budget was used up."""

_NAMES: dict[str, str] = {
    "cost": "cost",
    "tokens": "tokens",
    "input_tokens_per_request": "input tokens of a request",
    "calls": "calls of tools",
    "turns": "turns",
    "time": "seconds",
}

_ONE: dict[str, str] = {
    "tokens": "token",
    "input_tokens_per_request": "input token of a request",
    "calls": "call of a tool",
    "turns": "turn",
    "time": "second",
}


@dataclass(frozen=True, kw_only=True)
class Spent:
    """How much of a budget was used before a turn.

    Attributes:
        spent: What was used, by the limit.
        limits: Of how much, extensions included.
        over: Which limits are used up.
        warn: Of which limits a large part is used now that was not before.
    """

    spent: Json = field(default_factory=dict)
    limits: Json = field(default_factory=dict)
    over: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Spent:
        """Read it from what the task before a turn gave, or from what a person is asked about."""
        over, warn = (tuple(found.get(name) or ()) for name in ("over", "warn"))
        return cls(spent=found.get("spent") or {}, limits=found.get("limits") or {}, over=over, warn=warn)

    def told(self, limit: str) -> str:
        """How much of a limit is used, in a few words."""
        used, most = self.spent.get(limit) or 0, self.limits.get(limit) or 0
        if limit == "cost":
            return f"cost ${used:.4f} of ${most:.4f}"
        return f"{used:,.0f} of {most:,.0f} {_NAMES.get(limit, limit)}"

    @property
    def over_told(self) -> str:
        """The limits that are used up, in a few words."""
        return ", ".join(self.told(limit) for limit in self.over)


def is_over_budget(output: Mapping[str, Any]) -> bool:
    """Whether a run ended as its budget was used up, or that of the team at work in it.

    Args:
        output: What the run left.
    """
    return output.get("finish_reason") == OVER_BUDGET or _is_cancelled(output.get(BUDGET))


def _is_cancelled(left: Any) -> bool:
    """Whether one of those has ended the run that have left something of a team's budget."""
    if isinstance(left, list):
        return any(map(_is_cancelled, left))
    return bool(left) and (left.get("decided") or {}).get("mode") == "cancel"


def extension_told(extension: Mapping[str, Any]) -> str:
    """By what a budget was extended, in a few words."""
    found = [
        f"${more:.4f}" if limit == "cost" else f"{more:,.0f} {(_ONE if more == 1 else _NAMES).get(limit, limit)}"
        for limit, more in extension.items()
    ]
    return ", ".join(found)
