"""What a model said beside its calls and its answer, as a turn keeps it whose model a worker called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PassedOver:
    """A model that was asked before the one that answered.

    Attributes:
        model: `provider/name`.
        error: Why it gave no answer.
        tokens: What it has used all the same; stored with those of the model that answered.
    """

    model: str
    error: str
    tokens: dict[str, Any] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, str]:
        """As JSON-able values."""
        return {"model": self.model, "error": self.error}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a turn's model said.

    Attributes:
        text: Its text.
        thinking: What it thought before, as far as its provider shows that.
        passed_over: The models that were asked before it.
    """

    text: str = ""
    thinking: str = ""
    passed_over: tuple[PassedOver, ...] = ()

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Said:
        """Read it from a turn's plan; of a model that the server called nothing is kept."""
        if "message" not in result:
            return cls()
        parts = result["message"].get("parts") or ()
        thoughts = [part.get("content") or "" for part in parts if part.get("part_kind") == "thinking"]
        passed = tuple(PassedOver(**each) for each in result.get("passed_over") or ())
        return cls(text=result["text"], thinking="\n\n".join(filter(None, thoughts)), passed_over=passed)
