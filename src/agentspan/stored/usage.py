"""Tokens and their price, as a run stores them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

DIGITS = 10
"""Of a price in US dollars, behind the point: a token costs a ten-millionth of one and more."""


@dataclass(frozen=True)
class Usage:
    """Tokens, as the provider counted them, and what they cost.

    What is not known is None. The server's own calls tell only of the first two.

    Attributes:
        prompt_tokens: Tokens that the model was sent, those from a cache included.
        completion_tokens: Tokens that it answered, its thinking included.
        cached_tokens: Tokens of the prompt that the provider had in its cache.
        cache_write_tokens: Tokens of the prompt that it put there.
        reasoning_tokens: Tokens of the answer that were thinking.
        cost: What they cost, in US dollars, at the prices of the day of each call; of calls without a price nothing.
        unpriced: Calls without a price.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    unpriced: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def input_tokens(self) -> int:
        """The same as `prompt_tokens`."""
        return self.prompt_tokens

    @property
    def output_tokens(self) -> int:
        """The same as `completion_tokens`."""
        return self.completion_tokens

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> Usage:
        """Read what is stored."""
        found = value or {}
        more = {name: int(found[name]) for name in _MORE if found.get(name) is not None}
        return cls(
            int(found.get("prompt_tokens") or 0),
            int(found.get("completion_tokens") or 0),
            **more,
            cost=None if found.get("cost") is None else float(found["cost"]),
            unpriced=int(found.get("unpriced") or 0),
        )

    def to_json(self) -> dict[str, Any]:
        """The usage as JSON-able values; what is not known is left out."""
        last = asdict(self) if self.unpriced else {**asdict(self), "unpriced": None}
        return {name: value for name, value in last.items() if value is not None}

    @property
    def told(self) -> str:
        """The usage in a few words."""
        return self._told(" tokens")

    @property
    def counts(self) -> str:
        """The same for a line that says that it is about tokens."""
        return self._told("")

    def _told(self, of_what: str) -> str:
        cached = f" ({self.cached_tokens:,} cached)" if self.cached_tokens else ""
        price = "" if self.cost is None else f", ${self.cost:.4f}"
        more = f" and {self.unpriced} calls without a price" if self.unpriced and self.cost is not None else ""
        return f"{self.prompt_tokens:,}{of_what} in{cached}, {self.completion_tokens:,} out{price}{more}"


_MORE = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")


def newest(value: Any) -> dict[str, Any] | None:
    """The sums of a run so far, where several places may have them: the first one that has, of lists of lists."""
    if isinstance(value, list):
        return next((found for each in value if (found := newest(each)) is not None), None)
    return dict(value) if value else None


def added(usages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of what is stored of several calls: of a number that none of them has there is none."""
    found: dict[str, Any] = {}
    for usage in usages:
        for name, count in usage.items():
            if count is not None:
                found[name] = found.get(name, 0) + count
    if "cost" in found:
        found["cost"] = round(found["cost"], DIGITS)
    return found
