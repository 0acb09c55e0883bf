"""What an observer sees of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

EventName = Literal[
    "step",
    "tool_call",
    "tool_result",
    "tool_retry",
    "model_retry",
    "waiting",
    "resumed",
    "error",
    "done",
]


class EventType(StrEnum):
    """The types of events, for who prefers names to texts: each is equal to its text.

    No run gives events of the last five yet; scripts that look for them find none.
    """

    STEP = "step"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    TOOL_RETRY = "tool_retry"
    MODEL_RETRY = "model_retry"
    WAITING = "waiting"
    RESUMED = "resumed"
    ERROR = "error"
    DONE = "done"
    THINKING = "thinking"
    MESSAGE = "message"
    HANDOFF = "handoff"
    GUARDRAIL_PASS = "guardrail_pass"
    GUARDRAIL_FAIL = "guardrail_fail"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a run.

    Attributes:
        type: What happened.
        execution_id: The run.
        seq: Position in the run's sequence, from 1, without gaps; usable as a cursor.
        step: The step it belongs to, from 1.
        timestamp: When, by the server's clock.
        call_id: The model's id of the tool call.
        tool_name: The tool.
        args: The call's arguments.
        result: What the tool returned; `{"error": …}` when it failed.
        output: The final answer (`done`).
        error: What went wrong (`tool_retry`, `model_retry`, `tool_result`, `error`).
        attempt: Which attempt failed (`tool_retry`, `model_retry`), from 1.
    """

    type: EventName
    execution_id: str
    seq: int
    step: int
    timestamp: datetime
    call_id: str | None = None
    tool_name: str | None = None
    args: dict[str, Any] | None = None
    result: Any = None
    output: Any = None
    error: str | None = None
    attempt: int | None = None

    @property
    def content(self) -> str | None:
        """What it says, as text: the answer, or what went wrong; None where it says neither."""
        return self.error if self.error is not None else self.output

    def __repr__(self) -> str:
        about = f" {self.tool_name}" if self.tool_name else ""
        return f"<Event {self.seq} {self.type}{about} in step {self.step}>"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-able values, without the fields that do not apply."""
        shown = {key: value for key, value in self.__dict__.items() if value is not None}
        return {**shown, "timestamp": self.timestamp.isoformat()}
