"""What happened in each step of a run: values for a reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agentspan.declare.approval import Request
from agentspan.stored.said import PassedOver
from agentspan.stored.usage import Usage

AttemptStatus = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of a model call or of a tool call.

    Attributes:
        number: Which one, from 1.
        status: `waiting` until a worker, or the server's pool of model calls, takes it.
        scheduled: When it was to be made.
        started: When it was taken; None when it was not, or when the server keeps no record of it.
        ended: When it was over.
        worker: The worker that ran it; None for the model's calls, which the server makes, and where it is not known.
        error: Why it failed.
    """

    number: int
    status: AttemptStatus
    scheduled: datetime
    started: datetime | None = None
    ended: datetime | None = None
    worker: str | None = None
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None until it is over, or where its start is not known."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    def to_json(self) -> dict[str, Any]:
        """The attempt as JSON-able values."""
        return {
            "number": self.number,
            "status": self.status,
            "scheduled": self.scheduled.isoformat(),
            "started": self.started.isoformat() if self.started else None,
            "ended": self.ended.isoformat() if self.ended else None,
            "seconds": self.seconds,
            "worker": self.worker,
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """The model call of a step.

    Attributes:
        model: `provider/name`: which one answered.
        attempts: Its tries, oldest first.
        usage: Its tokens, and what they cost.
        answer: Its text, in the step that ends the run.
        text: What it said beside its calls, where a worker called it.
        thinking: What it thought, where a worker called it and its provider shows that.
        passed_over: Models that were asked before it and gave no answer.
    """

    model: str
    attempts: tuple[Attempt, ...]
    usage: Usage = field(default_factory=Usage)
    answer: str | None = None
    text: str = ""
    thinking: str = ""
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def prompt_tokens(self) -> int:
        """Tokens it was sent."""
        return self.usage.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens it answered."""
        return self.usage.completion_tokens

    def to_json(self) -> dict[str, Any]:
        """The call as JSON-able values; what it said beside calls, and thought, only where there is any."""
        said: dict[str, Any] = {"text": self.text, "thinking": self.thinking}
        said["passed_over"] = [passed.to_json() for passed in self.passed_over]
        return {
            "model": self.model,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            **self.usage.to_json(),
            "answer": self.answer,
            **{name: value for name, value in said.items() if value},
        }


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool call of a step.

    Attributes:
        call_id: The model's id of it.
        tool: The tool.
        args: Its arguments.
        attempts: Its tries, oldest first; none of a tool that does not exist.
        result: What it returned.
        error: What the model was told instead of a result.
        request: What a person is, or was, asked about it.
        review: The same about what it returned, where a guardrail asks.
        execution_id: The run of the agent that was called.
    """

    call_id: str
    tool: str
    args: dict[str, Any]
    attempts: tuple[Attempt, ...] = ()
    result: Any = None
    error: str | None = None
    request: Request | None = None
    review: Request | None = None
    execution_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The call as JSON-able values; the requests only where there are any."""
        return {
            "call_id": self.call_id,
            "tool": self.tool,
            "args": self.args,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "result": self.result,
            "error": self.error,
            **({} if self.request is None else {"request": self.request.to_json()}),
            **({} if self.review is None else {"review": self.review.to_json()}),
            **({} if self.execution_id is None else {"execution_id": self.execution_id}),
        }


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run: a model call, and the tool calls it asked for.

    Attributes:
        number: Which one, from 1.
        segment_id: The execution that holds it on the server: a segment, or the run itself.
        model: The model call.
        calls: The tool calls, in the order the model asked for them.
        agent: Whose step it was, of a run that agents hand over, or of a team; None of any other.
        summary: What was written down before it of older exchanges; its tokens count as the model call's.
        requests: What a person is, or was, asked beside its calls: about the prompt, the budget before it, its answer.
    """

    number: int
    segment_id: str
    model: ModelCall
    calls: tuple[ToolCall, ...] = ()
    agent: str | None = None
    summary: str | None = None
    requests: tuple[Request, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The step as JSON-able values; the requests only where there are any."""
        return {
            "step": self.number,
            **({} if self.agent is None else {"agent": self.agent}),
            "segment_id": self.segment_id,
            **({} if self.summary is None else {"summary": self.summary}),
            "model": self.model.to_json(),
            "calls": [call.to_json() for call in self.calls],
            **({"requests": [each.to_json() for each in self.requests]} if self.requests else {}),
        }
