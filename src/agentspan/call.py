"""One call of a tool: what is known about it, and what its report says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentspan.errors import RetryTool, ToolFailed
from agentspan.records import TaskRecord
from agentspan.schema import ArgumentError
from agentspan.tool import Tool, ToolContext
from agentspan.values import MAX_BYTES, ResultError, shown, to_jsonable

log = logging.getLogger("agentspan.worker")

Json = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """A tool of an agent, as this host serves it."""

    agent: str
    tool: Tool[..., Any]


@dataclass
class Call:
    """One attempt of a tool call, from poll to report."""

    task: TaskRecord
    served: Served
    started: float = field(default_factory=time.monotonic)
    beaten: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    finished: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)
    earlier_failures: int = 0
    say: Callable[[str], None] = field(default=lambda message: None)

    @property
    def key(self) -> str:
        """The same for every attempt of this call, and for no other call."""
        return f"{self._input('execution_id')}/{self._input('step')}/{self.task.reference_task_name}"

    @property
    def failures(self) -> list[Json]:
        """Earlier tries of this task that raised, oldest first."""
        return list(self.task.output_data.get("failures", []))

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: Conductor counts dead workers, we count what the tool raised."""
        return self.task.retry_count + self.failed + 1

    @property
    def failed(self) -> int:
        """How often the tool has raised in this call, also before a worker died."""
        return self.earlier_failures + len(self.failures)

    @property
    def max_bytes(self) -> int:
        """What the result may take: calls of one turn share it."""
        return int(self._input("max_bytes") or MAX_BYTES)

    def continue_as(self, task: TaskRecord) -> bool:
        """Whether the call is still at work; if so, it reports for `task`, which the server handed out meanwhile."""
        with self.lock:
            if self.finished.is_set():
                return False
            if task.task_id == self.task.task_id:
                return True
            self.earlier_failures = self.failed
            self.task = task
            self.lost.clear()
            return True

    def context(self) -> ToolContext:
        """What the tool may ask about itself."""
        return ToolContext(
            idempotency_key=self.key,
            attempt=self.attempt,
            execution_id=str(self._input("execution_id")),
            step=int(self._input("step") or 0),
            agent=self.served.agent,
            tool=self.served.tool.name,
            call_id=str(self._input("call_id")),
            on_heartbeat=self._beat_now,
            on_progress=self._progress,
            check_cancelled=self.lost.is_set,
        )

    def _input(self, name: str) -> Any:
        return self.task.input_data.get(name)

    def _beat_now(self) -> None:
        self.beaten = 0.0

    def _progress(self, message: str) -> None:
        self.say(message)
        self._beat_now()

    def __str__(self) -> str:
        return (
            f"{self.served.agent}.{self.served.tool.name} of {self._input('execution_id')}, step {self._input('step')}"
        )


def completed(call: Call, value: Any) -> Json:
    """The report of a call that returned `value`.

    Raises:
        ResultError: The value cannot be carried as JSON.
    """
    output: Json = {"result": to_jsonable(value, call.max_bytes)}
    if call.failures:
        output["failures"] = call.failures
    return {"status": "COMPLETED", "outputData": output}


def timed_out(call: Call) -> TimeoutError:
    """What a call that met its tool's time limit raises."""
    return TimeoutError(f"The tool {call.served.tool.name} was not done after {call.served.tool.timeout:g} s.")


def raised(call: Call, error: BaseException) -> Json:
    """The report of a call that raised: another try by the tool's policy, or its final failure."""
    if isinstance(error, ArgumentError | ResultError | ToolFailed):
        log.info("%s failed for good: %s", call, error)
        return failed(call, str(error), final=True)
    log.warning("%s raised in attempt %d", call, call.attempt, exc_info=error)
    retry = call.served.tool.retry
    message = f"{type(error).__name__}: {error}"
    if call.failed + 1 >= retry.attempts:
        return failed(call, message, final=True)
    after = error.after if isinstance(error, RetryTool) and error.after is not None else None
    delay = retry.delay_before(call.failed + 2) if after is None else after
    return failed(call, message, final=False, delay=delay)


def failed(call: Call, message: str, *, final: bool, delay: float = 0.0) -> Json:
    """The report of a try that failed; unless `final`, there is another one after `delay` seconds."""
    # Every attempt's message is kept, beside those of the turn's other calls.
    message = shown(message, min(10_000, call.max_bytes // 50))
    failure = {"attempt": call.attempt, "error": message, "at": int(time.time() * 1000), "final": final}
    failures = [*call.failures, failure]
    if final:
        return {
            "status": "FAILED_WITH_TERMINAL_ERROR",
            "reasonForIncompletion": message[:500],
            "outputData": {"error": message, "failures": failures},
        }
    return {
        "status": "IN_PROGRESS",
        "callbackAfterSeconds": round(delay),
        "outputData": {"failures": failures},
    }
