"""Everything agentspan raises, in one tree.

    AgentspanError                     exit code 1
    ├── DefinitionError (ValueError)   2   the agent or a tool cannot be compiled; nothing was sent
    ├── ConfigError (ValueError)       2   a setting is missing or makes no sense
    ├── InputError (ValueError)        2   a prompt or value cannot be carried intact; nothing was sent
    ├── ServerError                    1   Conductor did not do what was asked
    │   ├── ServerUnreachable          5     nobody answers at the address
    │   ├── Unauthorized               4     401 or 403
    │   ├── NotFound                   1     no such execution or definition
    │   ├── Conflict                   1     the name or state is taken
    │   └── ServerRejected             1     Conductor refused the request
    ├── LocalServerError               1   the embedded server cannot be fetched, started or stopped
    ├── UnknownFormat                  1   a run that only a newer version can read
    ├── ExecutionError                 3   a run ended without a result
    │   ├── ExecutionFailed            3
    │   ├── ExecutionTimedOut          3
    │   ├── ExecutionTerminated        3
    │   ├── OutputInvalid              3     the answer does not fit `output_type`
    │   └── GuardrailError             3     a guardrail refuses the prompt, the answer or a call
    ├── WaitTimeout (TimeoutError)     1   the run goes on; this caller stopped waiting
    ├── WorkerError                    1   a worker host cannot serve
    ├── WouldBlock (RuntimeError)      1   a call that waits, on the event loop of asynchronous tools
    └── ToolError                          what a tool may raise
        ├── ToolFailed                       final: not retried, the model sees the message
        └── RetryTool                        try again, after a delay of its choice

Each error says what happened and on which agent, tool or execution; the next thing to do is
its `hint`, which is also added as a note, so that a traceback shows it.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentspan.reading.result import AgentResult

_LONGEST = 2**31 - 1
"""Seconds that a call can be put off."""


class AgentspanError(Exception):
    """The root of every error that agentspan raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(hint)

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only state does not survive the default pickling of exceptions.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[AgentspanError], args: tuple[Any, ...], state: dict[str, Any]) -> AgentspanError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DefinitionError(AgentspanError, ValueError):
    """An agent or tool cannot be compiled; raised before anything is sent."""

    exit_code = 2


class ConfigError(AgentspanError, ValueError):
    """A setting is missing, unknown or makes no sense."""

    exit_code = 2


class InputError(AgentspanError, ValueError):
    """A prompt or value that Conductor would not carry intact; raised before it is sent."""

    exit_code = 2


class ServerError(AgentspanError):
    """Conductor did not do what it was asked.

    Attributes:
        status: The HTTP status of the answer, or None when there was none.
    """

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ServerUnreachable(ServerError):
    """Nobody answers at the server's address."""

    exit_code = 5


class Unauthorized(ServerError):
    """The server answered 401 or 403."""

    exit_code = 4


class NotFound(ServerError):
    """The server knows no execution or definition of that name."""


class Conflict(ServerError):
    """The name or version is taken, or the run is in another state."""


class ServerRejected(ServerError):
    """The server refused the request, or failed while answering it."""


class UnknownFormat(AgentspanError):
    """A run is stored in a form that only a newer version knows."""


class LocalServerError(AgentspanError):
    """The embedded server cannot be fetched, started or stopped."""


class ExecutionError(AgentspanError):
    """A run ended without a result.

    Attributes:
        execution_id: The run.
        result: What it had done by then: status, steps, tokens. None where that is not known.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, execution_id: str, hint: str | None = None, result: AgentResult[Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.execution_id: str = execution_id
        self.result: AgentResult[Any] | None = result


class ExecutionFailed(ExecutionError):
    """The run failed: a model call was refused, or the turns ran out."""


class ExecutionTimedOut(ExecutionError):
    """The run met the agent's own time limit."""


class ExecutionTerminated(ExecutionError):
    """Somebody cancelled the run."""


class OutputInvalid(ExecutionError):
    """The model's answer does not fit the agent's `output_type`.

    Attributes:
        raw: The answer as the model gave it.
        reasons: What does not fit, each in a sentence.
    """

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        raw: object,
        reasons: tuple[str, ...] = (),
        hint: str | None = None,
        result: AgentResult[Any] | None = None,
    ) -> None:
        super().__init__(message, execution_id=execution_id, hint=hint, result=result)
        self.raw = raw
        self.reasons: tuple[str, ...] = reasons


class GuardrailError(ExecutionError):
    """A guardrail refuses the prompt, the answer, or a call of a tool, and the run ended by it.

    Attributes:
        guardrail: Its name.
        position: What it looked at: `input` for the prompt or a call's arguments, `output` for the answer or a result.
        reason: What it said.
    """

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        guardrail: str,
        position: str,
        reason: str,
        hint: str | None = None,
        result: AgentResult[Any] | None = None,
    ) -> None:
        super().__init__(message, execution_id=execution_id, hint=hint, result=result)
        self.guardrail = guardrail
        self.position = position
        self.reason = reason


class WaitTimeout(AgentspanError, TimeoutError):
    """The caller's own waiting time is over; the run itself goes on."""


class WorkerError(AgentspanError):
    """A worker host cannot serve its tools."""


class WouldBlock(AgentspanError, RuntimeError):
    """A call that waits for a run was made on the event loop that asynchronous tools share."""


class ToolError(AgentspanError):
    """What a tool may raise to decide how its failure is treated."""


class ToolFailed(ToolError):
    """Final failure of a tool: no further attempt; the model gets the message as the result."""


class RetryTool(ToolError):
    """Ask for another attempt.

        raise RetryTool("The order desk is closed.", after=60)

    Attributes:
        after: Whole seconds to wait before it; None leaves it to the tool's retry policy.
    """

    after: int | None = None

    def __init__(self, message: str, *, after: float | timedelta | None = None) -> None:
        """Make the error.

        Args:
            message: Why, for the log and, should no attempt be left, for the model.
            after: How long to wait, in seconds or as a timedelta; fractions are rounded up.

        Raises:
            InputError: When `after` is no time to wait; the text has the message.
        """
        super().__init__(message)
        self.after = None if after is None else _waiting_time(after, message)


def _waiting_time(after: float | timedelta, message: str) -> int:
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds <= _LONGEST:
        raise InputError(
            f"RetryTool({message!r}): after must be seconds from 0 to {_LONGEST:,}, or a timedelta, not {after!r}"
        )
    return math.ceil(seconds)
