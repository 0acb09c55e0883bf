"""What a run is doing, and what it gave: values for a caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

RunStatus = Literal["RUNNING", "PAUSED", "COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"]

ENDED: frozenset[str] = frozenset({"COMPLETED", "FAILED", "TERMINATED", "TIMED_OUT"})


@dataclass(frozen=True)
class Usage:
    """Tokens, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> Usage:
        """Read what the workflow counted; missing numbers are 0."""
        found = value or {}
        return cls(int(found.get("prompt_tokens") or 0), int(found.get("completion_tokens") or 0))


@dataclass(frozen=True, kw_only=True)
class MissingWorker:
    """A tool call that waits for a worker that can take it.

    Attributes:
        tool: The tool.
        task_name: Its queue on the server.
        since: When it began to wait.
        last_poll: When a worker last asked for that tool; None when none ever did.
        mismatch: Which other version of the tool a worker serves, and why the call does not fit it;
            None when nobody serves the tool.
    """

    tool: str
    task_name: str
    since: datetime
    last_poll: datetime | None
    mismatch: str | None = None


@dataclass(frozen=True, kw_only=True)
class AgentStatus:
    """A run at one moment.

    Attributes:
        execution_id: The run.
        agent: The agent's name.
        status: RUNNING, PAUSED, COMPLETED, FAILED, TERMINATED or TIMED_OUT: Conductor's words.
        current_task: `model`, or the tools being called, comma-separated; None when it is over.
        step: Turns begun so far.
        max_steps: The agent's `max_turns`.
        elapsed: Seconds from its start to its end, or to now.
        output: The answer, once there is one.
        error: Why it ended without one.
        usage: Tokens used in finished turns.
        missing_workers: Tool calls that no worker has taken for seconds, or that none can take.
    """

    execution_id: str
    agent: str
    status: RunStatus
    current_task: str | None
    step: int
    max_steps: int
    elapsed: float
    output: str | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    missing_workers: tuple[MissingWorker, ...] = ()

    @property
    def is_complete(self) -> bool:
        """It is over, well or badly."""
        return self.status in ENDED

    @property
    def is_waiting(self) -> bool:
        """It is alive and stands still until somebody does something."""
        return self.status == "PAUSED" or (self.status == "RUNNING" and bool(self.missing_workers))

    @property
    def is_running(self) -> bool:
        """It is alive and goes on by itself."""
        return self.status == "RUNNING" and not self.missing_workers

    def to_json(self) -> dict[str, Any]:
        """The status as JSON-able values."""
        flags = {name: getattr(self, name) for name in ("is_running", "is_waiting", "is_complete")}
        missing = [
            {**asdict(item), "since": item.since.isoformat(), "last_poll": _iso(item.last_poll)}
            for item in self.missing_workers
        ]
        return {**asdict(self), **flags, "missing_workers": missing}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """What a finished run gave.

    Attributes:
        output: The model's final answer, as text.
        execution_id: The run.
        status: How it ended.
        finish_reason: Why the model stopped: `stop`, `length`, ….
        steps: Turns taken.
        usage: Tokens used.
    """

    output: str
    execution_id: str
    status: RunStatus
    finish_reason: str
    steps: int
    usage: Usage

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-able values."""
        return asdict(self)


def answer_text(value: Any) -> str:
    """The model's answer as text.

    Conductor hands an answer that parses as JSON over as a structure (LLMHelper, 3.32.1).
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_FINISH_REASONS = {"max_tokens": "length", "refusal": "content_filter"}


def finish_reason(value: Any) -> str:
    """Why the model stopped, in one spelling for all providers."""
    reason = str(value or "stop").lower()
    return _FINISH_REASONS.get(reason, reason)
