"""The types of events, and their names."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

EventName = Literal[
    "step",
    "tool_call",
    "tool_result",
    "tool_retry",
    "model_retry",
    "thinking",
    "message",
    "summary",
    "waiting",
    "decision",
    "budget",
    "handoff",
    "resumed",
    "error",
    "done",
    "guardrail_pass",
    "guardrail_fail",
    "text_delta",
    "text_void",
]


class EventType(StrEnum):
    """The types of events, for who prefers names to texts: each is equal to its text.

    No run gives events of the last one yet; scripts that look for them find none.
    """

    STEP = "step"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    TOOL_RETRY = "tool_retry"
    MODEL_RETRY = "model_retry"
    WAITING = "waiting"
    DECISION = "decision"
    BUDGET = "budget"
    RESUMED = "resumed"
    ERROR = "error"
    DONE = "done"
    TEXT_DELTA = "text_delta"
    TEXT_VOID = "text_void"
    THINKING = "thinking"
    MESSAGE = "message"
    SUMMARY = "summary"
    GUARDRAIL_PASS = "guardrail_pass"
    GUARDRAIL_FAIL = "guardrail_fail"
    HANDOFF = "handoff"

    def __eq__(self, other: object) -> bool:
        # Type checkers then take a comparison with the text that an event's `type` is.
        return str.__eq__(self, other)

    __hash__ = str.__hash__
