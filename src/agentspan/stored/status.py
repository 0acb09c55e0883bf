"""How a run stands, in Conductor's words."""

from __future__ import annotations

from typing import Literal

RunStatus = Literal["RUNNING", "PAUSED", "COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"]

ENDED: frozenset[str] = frozenset({"COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"})
