"""What a run hands to its segments, and a turn to a call's worker: the keys, named once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentspan.stored.state import STATE
from agentspan.stored.usage import newest

SEGMENT_INPUT = (
    "execution_id",
    "prompt",
    "messages",
    "transcript",
    "usage",
    "steps",
    "previous",
    "instructions",
    "tools",
    "tool_tasks",
    "limited",
    "marked",
    "again",
    "programs",
    "transcript_path",
)
"""The input of a segment's workflow."""


@dataclass(frozen=True, kw_only=True)
class SegmentInput:
    """What readers need of a segment's input.

    Attributes:
        execution_id: The run that it is part of; None of a run without segments.
        steps: Turns of the run before it.
        previous: The segment before it.
        usage: Tokens of the run before it.
        agent: Who is at work as it begins, of a run that agents hand over; None of its first segment.
    """

    execution_id: str | None = None
    steps: int = 0
    previous: str | None = None
    usage: dict[str, Any] | None = None
    agent: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SegmentInput:
        """Read it from the input of a segment, or of a run without segments."""
        return cls(
            execution_id=given.get("execution_id"),
            steps=int(given.get("steps") or 0),
            previous=given.get("previous"),
            usage=newest(given.get("usage")),
            agent=given.get("agent"),
        )


@dataclass(frozen=True, kw_only=True)
class CallInput:
    """The input of a tool call's task.

    Attributes:
        execution_id: The run.
        step: The turn of the run, from 1.
        call_id: The model's id of the call.
        args: Its arguments, as the model gave them.
        max_bytes: What its result may take; 0 where nothing is said.
        state: The state of the run that its turn begins with; None where it has none.
        asks: The guardrails whose refusals its workflow brings to a person.
        call: The call's name in its turn, where it is made in a workflow of its own; None elsewhere.
    """

    execution_id: str
    step: int
    call_id: str
    args: dict[str, Any]
    max_bytes: int
    call: str | None = None
    state: dict[str, Any] | None = None
    asks: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> CallInput:
        """Read it from the input of the task."""
        return cls(
            execution_id=str(given.get("execution_id")),
            # A model's call knows its turn of the segment, and the turns before that.
            step=int(given.get("step") or (given.get("steps") or 0) + (given.get("turn") or 0)),
            call_id=str(given.get("call_id")),
            # The function that chooses a member of a team is given the prompt.
            args=given.get("args") or ({"prompt": given["prompt"]} if "prompt" in given else {}),
            max_bytes=int(given.get("max_bytes") or 0),
            call=given.get("call"),
            state=given.get(STATE),
            asks=tuple(given.get("asks") or ()),
        )
