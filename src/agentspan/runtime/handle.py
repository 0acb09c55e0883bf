"""AgentHandle: a run, from any process, by its id."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentspan import blocking
from agentspan.engine.failure import model_failure, reason_text
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import (
    Conflict,
    ExecutionError,
    ExecutionFailed,
    ExecutionTerminated,
    ExecutionTimedOut,
    InputError,
    ServerError,
)
from agentspan.reading._html import timeline_html
from agentspan.reading.events import Event
from agentspan.reading.history import History
from agentspan.reading.result import STEPS_IN_HTML, AgentResult, AgentStatus, Usage, answer_text, finish_reason
from agentspan.reading.timeline import Step
from agentspan.runtime import aio
from agentspan.runtime.waiting import FIRST_LOOK, Waiting
from agentspan.schema.values import check_text
from agentspan.telemetry.traces import TRACES

if TYPE_CHECKING:
    from agentspan.runtime.runtime import AgentRuntime

LONGEST_REASON = 4_000
"""Bytes of a reason as it stands in an address; Tomcat takes 8 KB for a request and its headers."""
BEGINNING = 5.0
"""Seconds that a segment which was just scheduled gets to begin, so that it can be paused."""


class AgentHandle:
    """A run on the server.

    Nothing of it lives in this process: make as many handles of one run as you like, anywhere.

    Args:
        execution_id: The run's id, as `start()` gave it.
        runtime: How to reach the server.
    """

    def __init__(self, execution_id: str, runtime: AgentRuntime) -> None:
        if not isinstance(execution_id, str) or not execution_id.strip():
            raise InputError(
                f"execution_id must be the id of a run, not {execution_id!r}",
                hint="`handle.execution_id` has it, and `agentspan agent list` shows the runs there are.",
            )
        self.execution_id = execution_id
        self.runtime = runtime
        self._history = History(runtime.client, execution_id)

    def __repr__(self) -> str:
        return f"AgentHandle(execution_id={self.execution_id!r})"

    def _repr_html_(self) -> str:
        try:
            status, steps = self.get_status(), self.steps(STEPS_IN_HTML)
        except ServerError as error:
            return timeline_html(repr(self), {"error": str(error)}, [])
        facts = {
            "agent": status.agent,
            "step": f"{status.step} / {status.max_steps}",
            "doing": (not status.is_complete and status.current_task) or "",
            "error": status.error or "",
            "answer": status.output or "",
        }
        return timeline_html(f"{self.execution_id} {status.status}", facts, steps)

    @property
    def run_id(self) -> str:
        """The same as `execution_id`."""
        return self.execution_id

    def join(self, timeout: float | None = None) -> AgentResult:
        """The same as `result`."""
        return self.result(timeout)

    def get_status(self) -> AgentStatus:
        """What the run is doing now.

        Raises:
            NotFound: The server has no such run.
        """
        return self._history.status()

    def steps(self, last: int | None = None) -> list[Step]:
        """What happened in each step so far: model call, tool calls, their attempts, durations and tokens.

        Args:
            last: Only this many of the newest steps, which is quicker for a long run.

        Raises:
            NotFound: The server has no such run.
        """
        return self._history.steps(last)

    def pause(self) -> None:
        """Stop at the next task; what runs now finishes. `resume()` goes on.

        Raises:
            Conflict: The run is over, or paused already.
        """
        self._expect("pause", "RUNNING")
        client = self.runtime.client
        # Conductor pauses the one execution it is given. The run first: from then on it begins no other segment.
        client.control(self.execution_id, "pause")
        deadline = time.monotonic() + BEGINNING
        while (segment := self._history.open_segment()) is not None and time.monotonic() < deadline:
            if segment.sub_workflow_id:
                with suppress(Conflict):  # it has just ended
                    client.control(segment.sub_workflow_id, "pause")
                return
            time.sleep(FIRST_LOOK)

    def resume(self) -> None:
        """Go on after `pause()`.

        Raises:
            Conflict: The run is not paused.
        """
        self._expect("resume", "PAUSED")
        client = self.runtime.client
        segment = self._history.open_segment()
        # The run last: until then it is PAUSED, and whoever dies on the way can resume it again.
        if segment is not None and segment.sub_workflow_id and client.status(segment.sub_workflow_id) == "PAUSED":
            client.control(segment.sub_workflow_id, "resume")
        client.control(self.execution_id, "resume")

    def cancel(self, reason: str = "cancelled by a caller") -> None:
        """End the run; tools that run now are told by `ToolContext.cancelled`.

        Raises:
            Conflict: The run is over.
            InputError: The reason is longer than an address may be.
        """
        if len(quote(check_text(reason, "reason"))) > LONGEST_REASON:
            raise InputError(f"reason is too long: it stands in an address, which has {LONGEST_REASON:,} bytes for it")
        self._expect("cancel", "RUNNING", "PAUSED")
        self.runtime.client.terminate(self.execution_id, reason)

    def retry(self) -> None:
        """Go on at the very call that failed; nothing that finished is done again.

        Raises:
            Conflict: The run is alive, or ended with an answer.
        """
        run = self._expect("retry", "FAILED", "TERMINATED", "TIMED_OUT")
        if run.output.get("finish_reason") == "max_turns":
            raise Conflict(
                f"Run {self.execution_id} used all its turns; there is no failed call to go on from.",
                hint="Start a new run with a larger max_turns.",
            )
        self.runtime.client.control(self.execution_id, "retry", "POST", resumeSubworkflowTasks=True)

    def _expect(self, verb: str, *statuses: str) -> WorkflowRecord:
        run = self._history.run()
        if run.status not in statuses:
            raise Conflict(
                f"Run {self.execution_id} is {run.status}: it cannot {verb}.",
                hint=f"To {verb}, a run must be {' or '.join(statuses)}.",
            )
        return run

    def stream(self, from_: int = 0, *, timeout: float | None = None) -> EventStream:
        """The run's events, from the one after the cursor `from_`, until the run is over.

        Args:
            from_: `seq` of the last event already seen; 0 for all of them.
            timeout: Seconds to follow the run at most; None waits for its end.

        Raises:
            InputError: `from_` is negative, or no whole number.
        """
        if not isinstance(from_, int) or from_ < 0:
            raise InputError(f"from_ must be the `seq` of an event, or 0, not {from_!r}")
        return EventStream(self, from_, timeout)

    def result(self, timeout: float | None = None) -> AgentResult:
        """Wait for the end of the run and return what it gave.

        Args:
            timeout: Seconds to wait at most; the run goes on after that.

        Raises:
            ExecutionFailed: The run failed.
            ExecutionTerminated: Somebody cancelled it.
            ExecutionTimedOut: It met the agent's own time limit.
            WaitTimeout: `timeout` is over and the run is not.
        """
        blocking.check("result()")
        wait = Waiting(self.runtime.client, self.execution_id, timeout)
        while (found := wait.reading(self._result_so_far)) is None:
            wait.pause(moved=False)
        return found

    async def result_async(self, timeout: float | None = None) -> AgentResult:
        """Wait for the end of the run on an event loop, and return what it gave; see `result`."""
        wait = Waiting(self.runtime.client, self.execution_id, timeout)
        while (found := await aio.reading(wait, self._result_so_far)) is None:
            await aio.pause(wait, moved=False)
        return found

    def _result_so_far(self) -> AgentResult | None:
        run = self.runtime.client.workflow(self.execution_id, tasks=False)
        if not run.ended:
            return None
        TRACES.ended(self.runtime.client, self.execution_id)
        return replace(result_of(run), read_steps=self.steps)

    # ---- the same on an event loop --------------------------------------------------------------------

    def stream_async(self, from_: int = 0, *, timeout: float | None = None) -> AsyncEvents:
        """The run's events for `async for`; see `stream`."""
        return self.stream(from_, timeout=timeout).__aiter__()

    async def get_status_async(self) -> AgentStatus:
        """What the run is doing now; see `get_status`."""
        return await aio.in_thread(self.get_status)

    async def steps_async(self, last: int | None = None) -> list[Step]:
        """What happened in each step so far; see `steps`."""
        return await aio.in_thread(self.steps, last)

    async def pause_async(self) -> None:
        """Stop at the next task; see `pause`."""
        await aio.in_thread(self.pause)

    async def resume_async(self) -> None:
        """Go on after `pause_async()`; see `resume`."""
        await aio.in_thread(self.resume)

    async def cancel_async(self, reason: str = "cancelled by a caller") -> None:
        """End the run; see `cancel`."""
        await aio.in_thread(self.cancel, reason)

    async def retry_async(self) -> None:
        """Go on at the very call that failed; see `retry`."""
        await aio.in_thread(self.retry)


class EventStream:
    """An iterator over a run's events that ends with the run, for `for` and for `async for`.

    Reading starts when iteration does; `get_result()` reads what is left and returns the result.
    """

    def __init__(
        self, handle: AgentHandle, from_: int, timeout: float | None, on_away: Callable[[], None] = lambda: None
    ) -> None:
        self.handle = handle
        self.cursor: int = from_
        self._timeout = timeout
        self._on_away = on_away

    def __iter__(self) -> Iterator[Event]:
        blocking.check("This stream")
        wait = self._wait()
        while True:
            fresh, over = wait.reading(self._fresh)
            for event in fresh:
                self.cursor = event.seq
                yield event
            if over:
                return
            wait.pause(moved=bool(fresh))

    def __aiter__(self) -> AsyncEvents:
        return AsyncEvents(self)

    def _wait(self) -> Waiting:
        return Waiting(self.handle.runtime.client, self.handle.execution_id, self._timeout, self._on_away)

    def _fresh(self) -> tuple[list[Event], bool]:
        """The events after the cursor, and whether they are the last."""
        fresh, over = self.handle._history.fresh(self.cursor)
        if over:
            TRACES.ended(self.handle.runtime.client, self.handle.execution_id)
        return fresh, over

    async def get_result_async(self) -> AgentResult:
        """Wait for the end of the run on an event loop, and return what it gave; see `get_result`."""
        return await self.handle.result_async(self._timeout)

    def get_result(self) -> AgentResult:
        """Wait for the end of the run and return what it gave; raises as `AgentHandle.result` does."""
        return self.handle.result(self._timeout)


class AsyncEvents:
    """Iterates over a stream on an event loop. Who gives up waiting for an event can ask for it again."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._wait = stream._wait()
        self._unread: deque[Event] = deque()
        self._over = False
        self._look: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Event:
        while not self._unread:
            if self._over:
                raise StopAsyncIteration
            if self._look is None:
                self._look = asyncio.ensure_future(self._read_on())
            # Shielded: a look that its reader gives up goes on, and the next one waits for that very look.
            await asyncio.shield(self._look)
            self._look = None
        event = self._unread.popleft()
        self._stream.cursor = event.seq
        return event

    async def _read_on(self) -> None:
        while True:
            fresh, over = await aio.reading(self._wait, self._stream._fresh)
            self._unread.extend(fresh)
            self._over = over
            if fresh or over:
                return
            await aio.pause(self._wait, moved=False)


_ENDINGS: dict[str, type[ExecutionError]] = {
    "FAILED": ExecutionFailed,
    "TERMINATED": ExecutionTerminated,
    "TIMED_OUT": ExecutionTimedOut,
}


def result_of(run: WorkflowRecord) -> AgentResult:
    """The result of a run that is over; raises when it ended without one."""
    if run.status in _ENDINGS:
        reason = run.reason_for_incompletion or "no reason given"
        failure = model_failure(reason)
        raise _ENDINGS[run.status](
            f"Run {run.workflow_id} of agent {run.workflow_name} ended as {run.status}: {reason_text(reason)}",
            execution_id=run.workflow_id,
            hint=(failure and failure.hint) or f"`agentspan agent stream {run.workflow_id}` shows its steps.",
        )
    return AgentResult(
        output=answer_text(run.output.get("result"), run.workflow_id),
        execution_id=run.workflow_id,
        status=run.status,
        finish_reason=finish_reason(run.output.get("finish_reason")),
        steps=int(run.output.get("steps") or 0),
        usage=Usage.of(run.output.get("usage")),
        intact=bool(run.output.get("intact", True)),
    )
