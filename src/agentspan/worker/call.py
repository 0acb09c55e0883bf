"""One call of a tool: what is known about it, and what its report says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from agentspan.declare.agent import Agent
from agentspan.declare.callbacks import CallbackHandler
from agentspan.declare.content import holds_files
from agentspan.declare.credentials import Credentials
from agentspan.declare.guardrail import Guardrail
from agentspan.declare.instructions import Function
from agentspan.declare.state import CallState, StateType
from agentspan.declare.termination import Termination
from agentspan.declare.tool import Tool, ToolContext
from agentspan.engine.records import TaskRecord
from agentspan.errors import RetryTool, ToolFailed
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import MAX_BYTES, ResultError, shown, to_jsonable
from agentspan.stored.guard import Guarded
from agentspan.stored.inputs import CallInput
from agentspan.stored.intervention import kept
from agentspan.stored.notes import Failure, Notes
from agentspan.stored.state import STATE
from agentspan.stored.usage import added
from agentspan.worker.guards import Asked, GuardRefused
from agentspan.worker.handoffs import Crew
from agentspan.worker.output import Output

log: logging.Logger = logging.getLogger("agentspan.worker")

Json = dict[str, Any]

FINAL = (ArgumentError, ResultError, ToolFailed)
"""What is not tried again."""


class ModelAway(RetryTool):
    """A model's provider cannot be reached, is busy or fails.

    Attributes:
        tokens: What the try has used all the same, where the provider told it.
    """

    tokens: Json | None = None

    def having_used(self, tokens: Json | None) -> ModelAway:
        """The same, with what the try has used."""
        self.tokens = tokens
        return self


class ModelUncalled(ToolFailed):
    """This worker cannot call a model at all: it has no key for it, say."""


class PutOff(Exception):
    """It is too early for the call, which has not failed: it is to be handed out again.

    Args:
        note: What its readers, and the next look at it, are to know.
        after: Seconds until then.
    """

    def __init__(self, note: Json, after: int) -> None:
        super().__init__("It is put off.")
        self.note = note
        self.after = after


LONGEST = 10 * 366 * 86_400
"""Seconds that a tool may ask to be tried again after; Conductor counts them as an int."""

_GUARDED = ("tool", "approval")
"""The kinds of tasks in which guardrails of a tool are asked."""


@dataclass(frozen=True)
class Served:
    """A tool of an agent, or the agent's model, as this host serves it."""

    agent: str
    version: int
    tool: Tool[..., Any]
    output: Output | None = None
    """What its answers have to be, where the tool stands for the model or for the checks of its answers."""
    is_model: bool = False
    guards: tuple[Guardrail, ...] = ()
    """What looks at the prompt, or at calls before they are made, where the tool stands for that, or for the model."""
    termination: Termination | None = None
    """The condition by which a run comes to an end, where the tool stands for the model."""
    shows_files: bool = False
    """Whether the model can be shown what its tools return beside text."""
    crew: Crew | None = None
    """Who may be at work in its agent's runs, where the tool stands for the model or for the checks of its answers."""
    instructions: Function | None = None
    """The function that gives the instructions, where the tool stands for the model or for that function."""
    state: StateType | None = None
    """The type of what the calls of a run share, where the tool is one, or stands for the model."""
    why: str = ""
    """Why a worker calls the model, where the tool stands for it and something of the agent needs that."""
    dependencies: Any = None
    """Live objects for the calls."""
    hooks: tuple[CallbackHandler, ...] = ()
    """What is called before and after, where the tool is one, or stands for the model."""
    members: Mapping[str, Served] = field(default_factory=dict)
    """The models of the agents that may be at work in its agent's runs, where the tool stands for the model."""
    caller: str | None = None
    """The agent that calls this one, or has it as a member, as it is served here; None of one that is started."""
    of: Agent[Any] | None = None
    """Whose requests to people these are, where the tool stands for the checks before them, or for the notices."""
    asks: Callable[[str], Any] | None = None
    """The function that chooses or says that it is enough, where the tool hands a team's text to it."""


class Host(Protocol):
    """What a call may ask of the worker host that serves it."""

    def say(self, task: TaskRecord, message: str) -> None:
        """Store a line of progress."""

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""

    def beat(self, task_id: str) -> None:
        """Send a heartbeat now."""

    def waiting(self, call: Call) -> AbstractContextManager[None]:
        """While the call waits for another run, it takes no place."""

    def run_context(self, execution_id: str) -> Mapping[str, Any]:
        """The `context` that a run was started with."""


@dataclass
class Call:
    """One attempt of a tool call, from poll to report."""

    task: TaskRecord
    served: Served
    host: Host
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    finished: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    outcome: Json | None = None
    earlier_failures: int = 0
    earlier_tokens: list[Json] = field(default_factory=list)
    """What tries of earlier tasks of this call have used that failed."""
    credentials: Credentials = field(default_factory=Credentials)
    member: Served | None = None
    """Who is at work, where the call is one of a model of a run that agents hand over."""
    guarded: list[Guarded] = field(default_factory=list)
    """What the tool's guardrails have said so far."""
    asks: list[Guarded] = field(default_factory=list)
    """Those of its result by which a person is asked."""
    used: list[Json] = field(default_factory=list)
    """What this try has used so far that is told nowhere else: that counts where it fails."""

    @cached_property
    def given(self) -> CallInput:
        """What the turn hands to the call; the same for every attempt."""
        return CallInput.of(self.task.input_data)

    @property
    def whose(self) -> Served:
        """The agent at work as it is served here: whose instructions, state, live objects and hooks these are."""
        return self.member or self.served

    @cached_property
    def shared(self) -> CallState | None:
        """What the call sees of its run's state, and changes; None where there is none."""
        stored, type_ = self.given.state, self.served.state
        return None if stored is None or type_ is None else CallState(type_, stored, self.served.agent)

    @property
    def changed(self) -> Json:
        """What the last report says of what the call has changed of its run's state."""
        changes = {} if self.shared is None else self.shared.changes
        return {STATE: self.credentials.masked(changes)} if changes else {}

    @property
    def key(self) -> str:
        """The same for every attempt of this call, and for no other call."""
        return self.task.key

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Earlier tries of this task that raised, oldest first."""
        return self.task.notes.failures

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: Conductor counts dead workers, we count what the tool raised."""
        return self.task.retry_count + self.failed + 1

    @property
    def failed(self) -> int:
        """How often the tool has raised in this call, also before a worker died."""
        return self.earlier_failures + len(self.failures)

    @property
    def is_last(self) -> bool:
        """Whether no other try follows where this one fails."""
        return self.failed + 1 >= self.served.tool.retry.attempts

    @property
    def lost_tokens(self) -> tuple[Json, ...]:
        """What the tries of this call have used that failed."""
        return (*self.earlier_tokens, *(failure.tokens for failure in self.failures if failure.tokens))

    @property
    def max_bytes(self) -> int:
        """What the result may take: calls of one turn share it."""
        return self.given.max_bytes or MAX_BYTES

    def notes(self, *failures: Failure) -> Json:
        """What a report keeps for whoever reads the events: tries that failed, and a version that did not fit."""
        noted = self.task.notes
        mismatch = noted.mismatch
        if mismatch is not None and mismatch.open:
            taken = self.host.now() - (time.monotonic() - self.started)
            mismatch = replace(mismatch, until=mismatch.until or int(taken * 1000), open=False)
        return Notes((*noted.failures, *failures), mismatch).to_json() | kept(self.task.output_data)

    def counting(self, asked: Asked) -> Asked:
        """What a guardrail's model said; what that has used counts from now on."""
        self.used += [asked[1]] if asked[1] else []
        return asked

    def note(self, guards: Sequence[Guarded]) -> None:
        """Keep what guardrails of the tool have said, and with it what they have used."""
        self.guarded += guards
        self.used.clear()

    @property
    def used_by_guards(self) -> tuple[Json, ...]:
        """What those have used in this try that have said something."""
        return tuple(guard.usage for guard in self.guarded if guard.usage)

    def noted_guards(self, *lost: Json) -> Json:
        """What the last report keeps of what the tool's guardrails said, and what they have used in all tries.

        Args:
            *lost: What this try has used that its guardrails do not tell.
        """
        usage = added((*self.lost_tokens, *self.used_by_guards, *lost)) if self.task.kind in _GUARDED else {}
        return Notes(guards=tuple(self.guarded)).to_json() | ({"usage": usage} if usage else {})

    def continue_as(self, task: TaskRecord) -> bool:
        """Whether the call is still at work; if so, it reports for `task`, which the server handed out meanwhile."""
        with self.lock:
            if self.finished.is_set():
                return False
            if task.task_id == self.task.task_id:
                return True
            self.earlier_failures, self.earlier_tokens = self.failed, [*self.lost_tokens]
            self.task = task
            self.lost.clear()
            return True

    def tool_context(self) -> ToolContext:
        """What the tool may ask about itself."""
        return ToolContext(
            idempotency_key=self.key,
            attempt=self.attempt,
            execution_id=self.given.execution_id,
            step=self.given.step,
            agent=self.served.agent,
            tool=self.served.tool.name,
            call_id=self.given.call_id,
            credentials=self.credentials,
            dependencies=self.served.dependencies,
            shared=self.shared,
            on_heartbeat=self._beat_now,
            on_progress=self._progress,
            check_cancelled=self.lost.is_set,
            read_context=lambda: self.host.run_context(self.given.execution_id),
            waiting=lambda: self.host.waiting(self),
        )

    def _beat_now(self) -> None:
        self.host.beat(self.task.task_id)

    def _progress(self, message: str) -> None:
        self.host.say(self.task, self.credentials.masked(message))
        self._beat_now()

    def __str__(self) -> str:
        return f"{self.served.agent}.{self.served.tool.name} of {self.given.execution_id}, step {self.given.step}"


def completed(call: Call, value: Any) -> Json:
    """The report of a call that returned `value`.

    Raises:
        ResultError: The value cannot be carried as JSON.
    """
    if holds_files(value) and not call.served.shows_files:
        raise ResultError(
            "the result has an image or a file in it, which the Conductor server's call cannot show to the model: "
            "declare the agent with model_place='worker'"
        )
    result = call.credentials.masked(to_jsonable(value, call.max_bytes))
    asks: Json = {"mode": "ask", "asks": [guard.to_json() for guard in call.asks]} if call.asks else {}
    told = {"result": result, **asks, **call.changed, **call.notes(), **call.noted_guards()}
    return {"status": "COMPLETED", "outputData": told}


def put_off(call: Call, later: PutOff) -> Json:
    """The report of a call that is put off."""
    outputs = {**call.notes(), **later.note}
    return {"status": "IN_PROGRESS", "callbackAfterSeconds": later.after, "outputData": outputs}


def timed_out(call: Call) -> TimeoutError:
    """What a call that met its tool's time limit raises."""
    return TimeoutError(f"The tool {call.served.tool.name} was not done after {call.served.tool.timeout:g} s.")


def raised(call: Call, error: BaseException) -> Json:
    """The report of a call that raised: another try by the tool's policy, or its final failure."""
    if isinstance(error, GuardRefused):
        return refused(failed(call, text_of(error), final=True), error)
    told = (error.tokens,) if isinstance(error, ModelAway) and error.tokens else ()
    lost = added((*call.used, *told)) or None
    if isinstance(error, FINAL):
        return failed(call, text_of(error), final=True, tokens=lost)
    retry = call.served.tool.retry
    message = text_of(error) if isinstance(error, RetryTool) else f"{type(error).__name__}: {text_of(error)}"
    if call.is_last:
        return failed(call, message, final=True, tokens=lost)
    tokens = added((lost or {}, *call.used_by_guards)) or None  # only the last try keeps what its guardrails said
    delay = retry.delay_before(call.failed + 2)
    if isinstance(error, RetryTool) and isinstance(error.after, int | float) and 0 <= error.after <= LONGEST:
        delay = error.after
    return failed(call, message, final=False, delay=delay, tokens=tokens)


def text_of(error: BaseException) -> str:
    """What an exception says, whatever its `__str__` does."""
    try:
        return str(error)
    except BaseException as broken:  # noqa: BLE001 - a tool's own code, which may do anything
        return f"(what it says cannot be read: its __str__ raised {type(broken).__name__})"


def failed(call: Call, message: str, *, final: bool, delay: float = 0.0, tokens: Json | None = None) -> Json:
    """The report of a try that failed; unless `final`, there is another one after `delay` seconds."""
    # Every attempt's message is kept, beside those of the turn's other calls.
    message = shown(call.credentials.masked(message), min(10_000, call.max_bytes // 50))
    failure = Failure(attempt=call.attempt, error=message, at=int(call.host.now() * 1000), final=final, tokens=tokens)
    if final:
        return {
            "status": "FAILED_WITH_TERMINAL_ERROR",
            "reasonForIncompletion": message[:500],
            "outputData": {"error": message, **call.notes(failure), **call.noted_guards(tokens or {})},
        }
    return {
        "status": "IN_PROGRESS",
        "callbackAfterSeconds": round(delay),
        "outputData": call.notes(failure),
    }


def refused(report: Json, error: GuardRefused) -> Json:
    """The report of a call that a guardrail refuses, with what ends the run where it is to end."""
    if error.refused is None:
        return report
    return {**report, "outputData": {**report["outputData"], "refused": error.refused.to_json()}}
