"""How agents work together, as values that are equal to their texts."""

from __future__ import annotations

from enum import StrEnum


class Strategy(StrEnum):
    """How agents work together; see `Team`, which takes each of them but `HANDOFF`.

    `HANDOFF` is what `Agent(agents=[…])` means without a strategy: its model asks the others, as `agent_tool` does.
    """

    HANDOFF = "handoff"
    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    ROUTER = "router"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    MANUAL = "manual"
    SWARM = "swarm"
