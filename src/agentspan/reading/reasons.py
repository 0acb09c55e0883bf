"""What a run waits for, and why it is over: values, the same for status, command line, inbox and page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agentspan.declare.approval import Request

ReasonKind = Literal[
    "answered",
    "failed",
    "out_of_turns",
    "cancelled",
    "timed_out",
    "paused",
    "person",
    "model_queued",
    "model_running",
    "model_retry",
    "missing_worker",
    "worker_busy",
    "tool_queued",
    "tool_running",
    "tool_lost",
    "tool_retry",
    "engine",
]


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
class BusyWorker:
    """A worker that serves a tool, and begins no call of it as all its places are taken.

    Attributes:
        tool: The tool.
        task_name: Its queue on the server.
        worker_id: The worker that was seen so last.
        since: Since when.
        waiting: Calls in the queue.
    """

    tool: str
    task_name: str
    worker_id: str
    since: datetime
    waiting: int


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that a run waits for, or why it is over.

    Attributes:
        kind: Which one, for programs.
        text: The same in a sentence.
        since: Since when.
        tool: The tool it is about.
        worker: The worker it is about.
        next: What to do, in words or as a command; empty when it goes on by itself.
        task_id: The server's id of the call it is about.
        missing: The worker that is missing (`missing_worker`).
        busy: The worker that is busy (`worker_busy`).
        request: What a person is asked (`person`).
    """

    kind: ReasonKind
    text: str
    since: datetime | None = None
    tool: str | None = None
    worker: str | None = None
    next: tuple[str, ...] = ()
    task_id: str | None = None
    missing: MissingWorker | None = None
    busy: BusyWorker | None = None
    request: Request | None = None

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON-able values; the request only where it is about one."""
        return {
            "kind": self.kind,
            "text": self.text,
            "since": self.since.isoformat() if self.since else None,
            "tool": self.tool,
            "worker": self.worker,
            "next": list(self.next),
            **({} if self.request is None else {"request_id": self.request.id}),
        }
