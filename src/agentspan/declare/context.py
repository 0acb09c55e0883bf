"""What a tool may know about its own call."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from agentspan.declare.credentials import Credentials
from agentspan.declare.state import CallState
from agentspan.errors import ToolFailed


def _nothing() -> None: ...


def _no_report(message: str) -> None: ...


def _never() -> bool:
    return False


def _no_context() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class ToolContext:
    """What a tool may know about its own call.

    A tool gets it in a parameter annotated `ToolContext`, whatever its name, or in one named `context` without an
    annotation; models do not see it.

    Attributes:
        idempotency_key: The same for every attempt of one call, and of no other call.
        execution_id: The run.
        agent: The agent that called.
        tool: The tool's name.
        call_id: The model's id of the call.
        step: The turn of the run that the call belongs to.
        attempt: 1 for the first try.
        credentials: What the tool asked for by `credentials=`, by name.
        dependencies: What the worker was given for its agent: `Agent(dependencies=…)`, `serve(dependencies=…)`.
    """

    idempotency_key: str
    execution_id: str
    agent: str
    tool: str
    call_id: str
    step: int
    attempt: int = 1
    credentials: Mapping[str, str] = field(default_factory=Credentials, compare=False)
    dependencies: Any = field(default=None, repr=False, compare=False)
    shared: CallState | None = field(default=None, repr=False, compare=False)
    on_heartbeat: Callable[[], None] = field(default=_nothing, repr=False, compare=False)
    on_progress: Callable[[str], None] = field(default=_no_report, repr=False, compare=False)
    check_cancelled: Callable[[], bool] = field(default=_never, repr=False, compare=False)
    read_context: Callable[[], Mapping[str, Any]] = field(default=_no_context, repr=False, compare=False)
    waiting: Callable[[], AbstractContextManager[None]] = field(default=nullcontext, repr=False, compare=False)

    @property
    def context(self) -> Mapping[str, Any]:
        """The `context=` that the run was started with: values of the caller that the model does not see.

        Read from the server once for a run.

        Raises:
            ServerError: The server cannot be asked now.
        """
        return self.read_context()

    @property
    def state(self) -> Any:
        """The state of the run, of the agent's `state_type`, as the turn began with it and this call has changed it.

        It is a copy: `set_state` and `add_to_state` change it. Of an agent without a `state_type` it is `context`, to
        be read only.
        """
        return MappingProxyType(dict(self.read_context())) if self.shared is None else self.shared.value

    def set_state(self, **values: Any) -> None:
        """Give fields of the run's state new values, once this call has given its result.

        Calls of the same turn do not see it, those of the next one do. Where several calls of a turn give a field a
        value, the last one in the model's order stays, and `AgentHandle.state_changes()` tells of the others.

        Raises:
            ToolFailed: The agent has no `state_type`, that has no such field, or a value does not fit.
        """
        self._changing().set(values)

    def add_to_state(self, **values: Any) -> None:
        """Add to what fields of the run's state hold: numbers are summed, lists go on, dicts get keys.

        What several calls of a turn add is all there afterwards.

        Raises:
            ToolFailed: The agent has no `state_type`, that has no such field, or a value cannot be added.
        """
        self._changing().add(values)

    def _changing(self) -> CallState:
        if self.shared is None:
            raise ToolFailed(f"The agent {self.agent} has no state_type, so its calls share no state.")
        return self.shared

    @property
    def agent_name(self) -> str:
        """The same as `agent`."""
        return self.agent

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: stop when it is convenient.

        So it is once the run was cancelled, or the call was given to another worker.
        """
        return self.check_cancelled()

    def heartbeat(self) -> None:
        """Tell the server now that the call is alive; the worker does it by itself now and then."""
        self.on_heartbeat()

    def progress(self, message: str) -> None:
        """Show those who watch the run how far the call has come."""
        self.on_progress(message)


@runtime_checkable
class OfCall(Protocol):
    """What belongs to one call of a tool."""

    def tool_context(self) -> ToolContext:
        """What the tool may know about that call."""


_current: contextvars.ContextVar[ToolContext | None] = contextvars.ContextVar("agentspan_tool", default=None)


@contextmanager
def during(context: ToolContext) -> Iterator[None]:
    """While a call is served here."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def current_tool_context() -> ToolContext | None:
    """The context of the call that is being served here, or None outside of one."""
    return _current.get()
