"""What is stored of a guardrail that has looked at something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

REFUSED = "guardrail"
"""Why a run ended that a guardrail has refused; in the output of such a run also the key of which one did."""

Action = Literal["retry", "fix", "raise", "human"]
"""What follows where a guardrail refuses."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """What a guardrail said of one thing.

    Attributes:
        name: The guardrail.
        position: `input` for a prompt or a call's arguments, `output` for an answer or a call's result.
        passed: Whether it let it through.
        message: Why it did not.
        action: What followed then: `retry`, `fix`, `raise`, `human`.
        usage: Tokens of the model that it asked, and what they cost; None where it asked none.
        model: That model, `provider/name`.
    """

    name: str
    position: str
    passed: bool
    message: str = ""
    action: Action | None = None
    usage: Json | None = None
    model: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Guarded:
        """Read it from what is stored."""
        return cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})

    def to_json(self) -> Json:
        """As it is stored: without what does not apply."""
        return {name: value for name, value in self.__dict__.items() if value not in (None, "")}


def guarded_of(found: Mapping[str, Any]) -> tuple[Guarded, ...]:
    """What the guardrails said, from what is stored with an answer, a prompt or a call."""
    return tuple(Guarded.of(each) for each in found.get("guards") or ())
