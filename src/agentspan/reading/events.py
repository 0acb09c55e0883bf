"""What an observer sees of a run: one class for each kind of event, told apart by `type`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from agentspan.reading.event_fields import Foreign
from agentspan.reading.event_types import EventName as EventName
from agentspan.reading.event_types import EventType as EventType
from agentspan.stored.usage import Usage


@dataclass(frozen=True, kw_only=True, repr=False)
class Event(Foreign):
    """One thing that happened in a run. What only other events have is None.

    Attributes:
        execution_id: The run.
        seq: Position in the run's sequence, from 1, without gaps; usable as a cursor.
        step: The step it belongs to, from 1.
        timestamp: When, by the server's clock.
        type: What happened.
        path: Where it happened, of an agent that this one has called, or that called one: the tools' names, outermost
            first. `step` is then that agent's own.
        agent: Who was at work, of a run that agents hand over; None of any other.
        usage: What the model has used whose answer it is the first to tell of, or that a guardrail has asked; None of
            any other. So the sum over all events is what the run has used.
    """

    execution_id: str
    seq: int
    step: int
    timestamp: datetime
    type: EventName
    path: tuple[str, ...] = ()
    agent: str | None = None
    usage: Usage | None = None

    @property
    def content(self) -> str | None:
        """What it says, as text: what the model said, the answer, or what went wrong; None where it says nothing."""
        found = next((said for said in (self.error, self.text, self.output) if said is not None), None)
        return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def __repr__(self) -> str:
        about = f" {self.tool_name}" if self.tool_name else ""
        within = f" of {'/'.join(self.path)}" if self.path else ""
        return f"<Event {self.seq} {self.type}{about} in step {self.step}{within}>"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-able values, without the fields that do not apply."""
        last = {name: value for name, value in self.__dict__.items() if name != "type"}
        shown = {name: value for name, value in last.items() if value is not None or name == "result"}
        path = list(shown.pop("path"))
        within = {"path": path} if path else {}
        used = {} if self.usage is None else {"usage": self.usage.to_json()}
        return {"type": self.type, **shown, **within, **used, "timestamp": self.timestamp.isoformat()}


@dataclass(frozen=True, kw_only=True, repr=False)
class StepBegan(Event):
    """The model is asked."""

    type: Literal["step"] = "step"


@dataclass(frozen=True, kw_only=True, repr=False)
class ToolCalled(Event):
    """The model asked for a tool.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        args: The call's arguments.
    """

    call_id: str
    tool_name: str
    args: dict[str, Any]
    type: Literal["tool_call"] = "tool_call"


@dataclass(frozen=True, kw_only=True, repr=False)
class ToolReturned(Event):
    """A call is over.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        result: What the tool returned; `{"error": …}` when it failed.
        error: Why it failed; None when it did not.
    """

    call_id: str
    tool_name: str
    result: Any
    error: str | None = None
    type: Literal["tool_result"] = "tool_result"


@dataclass(frozen=True, kw_only=True, repr=False)
class ToolRetried(Event):
    """A try of a call failed, and there is another one.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        error: Why it failed.
        attempt: Which try it was, from 1.
    """

    call_id: str
    tool_name: str
    error: str
    attempt: int
    type: Literal["tool_retry"] = "tool_retry"


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelRetried(Event):
    """A try of a model call failed, and there is another one.

    Attributes:
        error: Why it failed.
        attempt: Which try it was, from 1.
    """

    error: str
    attempt: int
    type: Literal["model_retry"] = "model_retry"


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelThought(Event):
    """What the model thought before it answered or called tools, where a worker calls it and its provider shows that.

    Attributes:
        text: Its thoughts, or the provider's summary of them.
    """

    text: str
    type: Literal["thinking"] = "thinking"


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelSaid(Event):
    """What the model said beside its calls of tools, where a worker calls it. The answer comes with `done`.

    Attributes:
        text: The text.
    """

    text: str
    type: Literal["message"] = "message"


@dataclass(frozen=True, kw_only=True, repr=False)
class Summarised(Event):
    """Older exchanges were summarised, and the model is shown that instead.

    Attributes:
        text: The summary.
        error: Why it lacks the newest of them; None where it does not.
    """

    text: str
    error: str | None = None
    type: Literal["summary"] = "summary"


@dataclass(frozen=True, kw_only=True, repr=False)
class Waiting(Event):
    """A call waits for a worker that can take it, or for a person.

    Attributes:
        call_id: The model's id of the call; None of the model's own.
        tool_name: The tool; None of the model's own call.
        error: What it waits for.
        request_id: The request, where that is a person: `runtime.approve(request_id)` decides it.
        args: What the person is asked about.
    """

    call_id: str | None = None
    tool_name: str | None = None
    error: str
    request_id: str | None = None
    args: dict[str, Any] | None = None
    type: Literal["waiting"] = "waiting"


@dataclass(frozen=True, kw_only=True, repr=False)
class Decided(Event):
    """A person has decided about a call, or answered; or nobody has in time.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        request_id: The request.
        approved: Whether the call is made; of a question whether there is an answer.
        action: What was done: `approved`, `rejected`, `answered`, `extended` or `finished`.
        by: Who; None where nobody said, or the deadline decided.
        text: Why, in that person's words.
        args: What is taken instead of what was shown; None where it is that.
    """

    call_id: str
    tool_name: str
    request_id: str
    approved: bool
    action: str
    by: str | None = None
    text: str | None = None
    args: dict[str, Any] | None = None
    type: Literal["decision"] = "decision"


@dataclass(frozen=True, kw_only=True, repr=False)
class BudgetNearlyUsed(Event):
    """A large part of a limit of the run's budget is used.

    Attributes:
        text: How much of which limit.
    """

    text: str
    type: Literal["budget"] = "budget"


@dataclass(frozen=True, kw_only=True, repr=False)
class HandedOff(Event):
    """A member of a team begins, and its events follow with its name in their `path`; or an agent takes over.

    Attributes:
        target: The member, or who takes over.
    """

    target: str
    type: Literal["handoff"] = "handoff"


@dataclass(frozen=True, kw_only=True, repr=False)
class Resumed(Event):
    """What waited, or had failed, goes on.

    Attributes:
        call_id: The model's id of the call; None of the model's own.
        tool_name: The tool; None of the model's own call.
    """

    call_id: str | None = None
    tool_name: str | None = None
    type: Literal["resumed"] = "resumed"


@dataclass(frozen=True, kw_only=True, repr=False)
class GuardrailPassed(Event):
    """A guardrail let something through.

    Attributes:
        guardrail_name: The guardrail.
        position: What it looked at: `input` for the prompt or a call's arguments, `output` for the answer or a result.
        call_id: The model's id of the call; None of one that looked at the prompt or at the answer.
        tool_name: The tool; None likewise.
    """

    guardrail_name: str
    position: str
    call_id: str | None = None
    tool_name: str | None = None
    type: Literal["guardrail_pass"] = "guardrail_pass"


@dataclass(frozen=True, kw_only=True, repr=False)
class GuardrailFailed(Event):
    """A guardrail refused something.

    Attributes:
        guardrail_name: The guardrail.
        position: What it looked at: `input` for the prompt or a call's arguments, `output` for the answer or a result.
        error: Why.
        action: What it wants: `retry`, `fix` or `raise`. A run fails, too, by an answer that was refused too often.
        call_id: The model's id of the call; None of one that looked at the prompt or at the answer.
        tool_name: The tool; None likewise.
    """

    guardrail_name: str
    position: str
    error: str
    action: str
    call_id: str | None = None
    tool_name: str | None = None
    type: Literal["guardrail_fail"] = "guardrail_fail"


@dataclass(frozen=True, kw_only=True, repr=False)
class RunFailed(Event):
    """The run ended without an answer; nothing follows, unless it is retried.

    Attributes:
        error: Why.
        attempt: Which try of the model call it was, from 1; None when no model call failed.
    """

    error: str
    attempt: int | None = None
    type: Literal["error"] = "error"


@dataclass(frozen=True, kw_only=True, repr=False)
class RunDone(Event):
    """The run ended with an answer; the last event.

    Attributes:
        output: The answer.
    """

    output: Any
    type: Literal["done"] = "done"


@dataclass(frozen=True, kw_only=True, repr=False)
class TextDelta(Event):
    """More of an answer that the model is still giving; `stream(tokens=True)` has them, and nothing stores them.

    It does not count: its `seq` is that of the event before it.

    Attributes:
        text: What came.
    """

    text: str
    type: Literal["text_delta"] = "text_delta"


@dataclass(frozen=True, kw_only=True, repr=False)
class TextVoided(Event):
    """The text of the step so far is void: its worker died, or the provider broke off, and the model is asked again."""

    type: Literal["text_void"] = "text_void"


AnyEvent: TypeAlias = (
    StepBegan
    | ToolCalled
    | ToolReturned
    | ToolRetried
    | ModelRetried
    | ModelThought
    | ModelSaid
    | Summarised
    | Waiting
    | Decided
    | BudgetNearlyUsed
    | HandedOff
    | Resumed
    | GuardrailPassed
    | GuardrailFailed
    | RunFailed
    | RunDone
    | TextDelta
    | TextVoided
)
"""An event of a stream: a type checker knows by its `type` which fields it has."""

_CLASSES: Mapping[str, type[Any]] = {cls.type: cls for cls in get_args(AnyEvent)}


def event_of(type: EventName, **fields: Any) -> AnyEvent:
    """The event of a type, with the fields of its class."""
    event: AnyEvent = _CLASSES[type](**fields)
    return event
