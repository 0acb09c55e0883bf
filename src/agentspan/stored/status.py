"""How a run stands, in Conductor's words."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

RunStatus = Literal["RUNNING", "PAUSED", "COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"]

ENDED: frozenset[str] = frozenset({"COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"})


class Status(StrEnum):
    """How a run stands, for who prefers names to texts: each is equal to its text."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TERMINATED = "TERMINATED"
    TIMED_OUT = "TIMED_OUT"


class FinishReason(StrEnum):
    """Why a run stopped, in one spelling for all providers; a provider may have others.

    The last three are of runs without an answer, which give a result only where the setting `compat` is on.
    """

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    EMPTY = "empty"
    MAX_TURNS = "max_turns"
    INVALID_OUTPUT = "invalid_output"
    GUARDRAIL = "guardrail"
    STOPPED = "stopped"
    BUDGET = "budget"
    OVER_BUDGET = "over_budget"
    ERROR = "error"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
