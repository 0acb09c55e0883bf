"""What a run of a team stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

TEAM = "team"
"""In the metadata of a team's definition: how its members work together."""


@dataclass(frozen=True, kw_only=True)
class TeamSpec:
    """How a team works.

    Attributes:
        strategy: How its members work together.
        agents: Their names.
        turns: How many of them are at most called.
    """

    strategy: str
    agents: tuple[str, ...]
    turns: int

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> TeamSpec | None:
        """Read it from the metadata of a definition; None where that is no team's."""
        found = metadata.get(TEAM)
        return None if not found else cls(**{**found, "agents": tuple(found["agents"])})

    def to_json(self) -> dict[str, Any]:
        """As a definition holds it."""
        return {**asdict(self), "agents": list(self.agents)}
