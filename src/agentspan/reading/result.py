"""What a run is doing, and what it gave: values for a caller."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TextIO, TypedDict

from agentspan.declare.approval import Request
from agentspan.declare.output import OutputT
from agentspan.errors import ServerError
from agentspan.reading._html import timeline_html
from agentspan.reading.events import AnyEvent
from agentspan.reading.reasons import BusyWorker, MissingWorker, Reason
from agentspan.reading.timeline import Step, ToolCall
from agentspan.stored.mark import text_mark
from agentspan.stored.status import ENDED, RunStatus
from agentspan.stored.usage import Usage

STEPS_IN_HTML = 50
"""The newest steps that a notebook shows of a run."""

_SHOWN = 60
"""Characters of an answer in a repr."""


class Progress(TypedDict):
    """How far a run has come; fields of `AgentStatus`."""

    current_task: str | None
    step: int
    max_steps: int
    usage: Usage


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
        waits: What it waits for, most telling first; nothing once it is over.
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
    waits: tuple[Reason, ...] = ()

    @property
    def missing_workers(self) -> tuple[MissingWorker, ...]:
        """Tool calls that no worker has taken for seconds, or that none can take."""
        return tuple(reason.missing for reason in self.waits if reason.missing is not None)

    @property
    def busy_workers(self) -> tuple[BusyWorker, ...]:
        """Workers whose places are all taken, and whose tools have calls that wait for one."""
        found = {reason.busy.task_name: reason.busy for reason in self.waits if reason.busy is not None}
        return tuple(found.values())

    @property
    def requests(self) -> tuple[Request, ...]:
        """What people are asked: the run, or a part of it, stands still until they decide."""
        return tuple(reason.request for reason in self.waits if reason.request is not None)

    @property
    def pending_tool(self) -> dict[str, Any] | None:
        """The first of these requests as other SDKs' scripts read it, or None.

        `tool_name`, `parameters`, `request_id`, and `response_schema`: the JSON Schema of what `respond` takes.
        """
        for request in self.requests:
            return {
                "tool_name": request.tool,
                "parameters": request.args,
                "request_id": request.id,
                "response_schema": request.response_schema,
            }
        return None

    @property
    def is_complete(self) -> bool:
        """It is over, well or badly."""
        return self.status in ENDED

    @property
    def is_waiting(self) -> bool:
        """It is alive and stands still until somebody does something."""
        stands = bool(self.missing_workers or self.requests)
        return self.status == "PAUSED" or (self.status == "RUNNING" and stands)

    @property
    def is_running(self) -> bool:
        """It is alive and goes on by itself."""
        return self.status == "RUNNING" and not self.is_waiting

    def __repr__(self) -> str:
        doing = f" {self.current_task}" if self.current_task and not self.is_complete else ""
        return f"<AgentStatus {self.agent} {self.status} step {self.step} / {self.max_steps}{doing}>"

    def to_json(self) -> dict[str, Any]:
        """The status as JSON-able values."""
        flags = {name: getattr(self, name) for name in ("is_running", "is_waiting", "is_complete")}
        missing = [
            {**asdict(item), "since": item.since.isoformat(), "last_poll": _iso(item.last_poll)}
            for item in self.missing_workers
        ]
        busy = [{**asdict(item), "since": item.since.isoformat()} for item in self.busy_workers]
        values = {name: value for name, value in self.__dict__.items() if name != "waits"}
        return {
            **values,
            "usage": self.usage.to_json(),
            "missing_workers": missing,
            "busy_workers": busy,
            "waits": [reason.to_json() for reason in self.waits],
            **({"requests": [request.to_json() for request in self.requests]} if self.requests else {}),
            **flags,
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


class Source(Protocol):
    """Where more of a run can be read."""

    def steps(self, last: int | None = None) -> list[Step]:
        """Its steps, or only the newest ones."""

    def all_events(self) -> list[AnyEvent]:
        """Everything that happened in it."""

    def messages(self) -> list[dict[str, str]]:
        """Its conversation, in the form that `run(messages=…)` takes."""


@dataclass(frozen=True, kw_only=True)
class AgentResult(Generic[OutputT]):
    """What a finished run gave.

    Attributes:
        output: The model's final answer: a text, or a value of the agent's `output_type`; the JSON of that value in a
            process that has not named the type.
        execution_id: The run.
        status: How it ended.
        finish_reason: Why the model stopped: `stop`, `length`, ….
        steps: Turns taken.
        usage: Tokens used.
        intact: Whether `output` is what the model said, to the letter. False where the server has read it as JSON and
            written it anew, so that spacing and the form of numbers may differ and what followed the JSON is missing;
            and where it is empty, and nothing tells whether the model refused, was filtered or said nothing.
        error: Why the run ended without an answer. A run that did raises instead of giving a result, unless the
            setting `compat` is on.
        json: Of an answer that has a type: its JSON, alone in a tuple.
        answers: Those of a team's members, by their names.
        source: Where `tool_calls`, `events` and `messages` are read; None of a result that came from elsewhere.
    """

    output: OutputT
    execution_id: str
    status: RunStatus
    finish_reason: str
    steps: int
    usage: Usage
    intact: bool = True
    error: str | None = None
    json: tuple[Any] | None = field(default=None, repr=False, compare=False)
    answers: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    source: Source | None = field(default=None, repr=False, compare=False)

    @property
    def _text(self) -> str:
        return as_text(self.output if self.json is None else self.json[0])

    @property
    def token_usage(self) -> Usage:
        """The same as `usage`."""
        return self.usage

    @property
    def is_success(self) -> bool:
        """Whether the run ended with an answer."""
        return self.status == "COMPLETED"

    @property
    def is_failed(self) -> bool:
        """Whether it ended without one; see `error`."""
        return not self.is_success

    @property
    def tool_calls(self) -> list[ToolCall]:
        """All calls of the run's tools, in order; read from the server, and empty of a result from elsewhere.

        Raises:
            ServerError: The server cannot be asked now.
        """
        steps = [] if self.source is None else self.source.steps()
        return [call for step in steps for call in step.calls]

    @property
    def events(self) -> list[AnyEvent]:
        """Everything that happened in the run; read from the server, and empty of a result from elsewhere.

        Raises:
            ServerError: The server cannot be asked now.
        """
        return [] if self.source is None else self.source.all_events()

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation with this answer at its end: `run(agent, prompt, messages=result.messages)` goes on with it.

        Calls of tools are not in it; `tool_calls` has them. Read from the server, and empty of a result from elsewhere.

        Raises:
            ServerError: The server cannot be asked now.
        """
        return [] if self.source is None else self.source.messages()

    @property
    def sub_results(self) -> dict[str, Any]:
        """The answers of a team's members, by their names; an agent that ran alone has none."""
        return dict(self.answers)

    def print_result(self, file: TextIO | None = None) -> None:
        """Print the answer, or what went wrong, and in a line what it took.

        Args:
            file: Where to; stdout unless given.
        """
        out = sys.stdout if file is None else file
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        said = self._text if self.error is None else self.error
        price = "" if self.usage.cost is None else f", ${self.usage.cost:.4f}"
        out.write(f"{said}\n\n{self.status} after {steps}, {self.usage.total_tokens:,} tokens{price}\n")

    def __repr__(self) -> str:
        text = self._text
        output = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
        return f"<AgentResult {output!r} {self.status} after {self.steps} steps, {self.usage.total_tokens} tokens>"

    def _repr_html_(self) -> str:
        facts = {
            "answer": self._text,
            "steps": str(self.steps),
            "tokens": self.usage.counts,
        }
        steps: list[Step] = []
        if self.source is not None:
            try:
                steps = self.source.steps(STEPS_IN_HTML)
            except ServerError as error:
                facts["timeline"] = str(error)
        return timeline_html(f"{self.execution_id} {self.status}", facts, steps)

    def __getstate__(self) -> dict[str, Any]:
        # A connection does not travel to another process.
        return {**self.__dict__, "source": None}

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-able values; the answers of a team's members only of a team."""
        beside = ("source", "error", "json", *(() if self.answers else ("answers",)))
        values = {name: value for name, value in self.__dict__.items() if name not in beside}
        failure = {} if self.error is None else {"error": self.error}
        if self.json is not None:
            values["output"] = self.json[0]
        return {**values, "usage": self.usage.to_json(), **failure}


def answer_text(value: Any, execution_id: str = "") -> str:
    """The model's answer as text.

    Conductor hands an answer that parses as JSON over as a structure (LLMHelper, 3.32.1); `AgentResult.intact` tells.

    Args:
        value: What is stored.
        execution_id: The run; its model was told what to put before an answer that would be changed.
    """
    if value is None:
        return ""
    if isinstance(value, str) and execution_id:
        return value.removeprefix(text_mark(execution_id))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_text(value: Any) -> str:
    """An answer for people: JSON where it is no text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_FINISH_REASONS = {"max_tokens": "length", "refusal": "content_filter"}


def finish_reason(value: Any) -> str:
    """Why the model stopped, in one spelling for all providers."""
    reason = str(value or "stop").lower()
    return _FINISH_REASONS.get(reason, reason)
