"""What is stored of the exchanges that a model is not shown any more: a summary of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]

SUMMARY = "summary"
"""In the input of a model's call: the summary that was made before it."""

DUE = "due"
"""In the plan of a turn, as `summarise`: before the next one older exchanges are summarised."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary of the oldest exchanges of a run.

    Attributes:
        text: What it says; empty where there is none.
        exchanges: How many exchanges it is about.
        tokens: What it has used.
        model: What made it.
        error: Why it lacks the newest of them.
    """

    text: str
    exchanges: int
    tokens: Json = field(default_factory=dict)
    model: str = ""
    error: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Summary:
        """Read it from the result of its task."""
        return cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})

    def to_json(self) -> Json:
        """As it is stored."""
        return {name: value for name, value in asdict(self).items() if value is not None}
