"""What a model's tokens cost, where the table of prices does not know it or the provider has made another price."""

from __future__ import annotations

from dataclasses import dataclass

from agentspan.errors import DefinitionError


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a million tokens.

    Attributes:
        input: Of the prompt.
        output: Of the answer, thinking included.
        cached: Of the prompt's tokens that the provider had in its cache; as `input` unless given.
        cache_write: Of those that it put there; as `input` unless given.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if not (number or (value is None and name.startswith("cache"))):
                raise DefinitionError(f"Price: {name} is US dollars for a million tokens, not {value!r}")
