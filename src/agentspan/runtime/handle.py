"""AgentHandle: a run, from any process, by its id."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic

from agentspan import blocking, compat
from agentspan.control import stopping, verbs
from agentspan.declare.agent import Agent
from agentspan.declare.handoff import as_one, crew
from agentspan.declare.output import OutputT
from agentspan.engine.client import Conductor
from agentspan.errors import InputError, ServerError
from agentspan.reading._html import timeline_html
from agentspan.reading.ending import error_of, result_of, so_far
from agentspan.reading.history import History
from agentspan.reading.output import typed
from agentspan.reading.result import STEPS_IN_HTML, AgentResult, AgentStatus
from agentspan.reading.timeline import Step
from agentspan.runtime import aio
from agentspan.runtime.call_verbs import CallVerbs
from agentspan.runtime.inbox import OwnRequests
from agentspan.runtime.state import RunState
from agentspan.runtime.stream import AsyncEvents, EventStream
from agentspan.runtime.usage import RunUsage
from agentspan.runtime.waiting import Waiting, check_timeout
from agentspan.schema.output import AnswerType, answer_type
from agentspan.schema.values import is_count
from agentspan.stored.output import ANSWERED_BY
from agentspan.telemetry.traces import TRACES

if TYPE_CHECKING:
    from agentspan.runtime.runtime import AgentRuntime


class AgentHandle(CallVerbs, OwnRequests, RunState, RunUsage, Generic[OutputT]):
    """A run on the server.

    Nothing of it lives in this process: make as many handles of one run as you like, anywhere.

    Args:
        execution_id: The run's id, as `start()` gave it.
        runtime: How to reach the server.
        output_type: The type of its answer, or its agent; None leaves the answer as it is stored: text, or JSON.
    """

    def __init__(
        self,
        execution_id: str,
        runtime: AgentRuntime,
        output_type: Agent[OutputT] | type[OutputT] | None = None,
    ) -> None:
        if not isinstance(execution_id, str) or not execution_id.strip():
            raise InputError(
                f"execution_id must be the id of a run, not {execution_id!r}",
                hint="`handle.execution_id` has it, and `agentspan agent list` shows the runs there are.",
            )
        if not isinstance(getattr(runtime, "client", None), Conductor):
            raise InputError(
                f"runtime must be an AgentRuntime, not {runtime!r}",
                hint="`AgentHandle(execution_id, AgentRuntime())` reaches the server that the settings name.",
            )
        self.execution_id: str = execution_id
        self.runtime: AgentRuntime = runtime
        self._answers = _answer_types(output_type)
        self._state = as_one(output_type).shared_state if isinstance(output_type, Agent) else None
        self._history = History(runtime.client, execution_id)

    def __repr__(self) -> str:
        return f"AgentHandle(execution_id={self.execution_id!r})"

    def _repr_html_(self) -> str:
        try:
            status, steps = self._history.status(), self.steps(STEPS_IN_HTML)
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

    def join(self, timeout: float | None = None) -> AgentResult[OutputT]:
        """The same as `result`."""
        return self.result(timeout)

    def get_status(self) -> AgentStatus:
        """What the run is doing now.

        Raises:
            NotFound: The server has no such run.
        """
        status = self._history.status()
        return compat.status(status) if self.runtime.settings.compat else status

    def steps(self, last: int | None = None) -> list[Step]:
        """What happened in each step so far: model call, tool calls, their attempts, durations and tokens.

        Args:
            last: Only this many of the newest steps, which is quicker for a long run.

        Raises:
            InputError: `last` is no number of steps.
            NotFound: The server has no such run.
        """
        if last is not None and not is_count(last):
            raise InputError(f"last must be a number of steps, or None for all of them, not {last!r}")
        return self._history.steps(last)

    def pause(self) -> None:
        """Stop at the next task; what runs now finishes. `resume()` goes on.

        Raises:
            Conflict: The run is over, or paused already.
        """
        verbs.pause(self.runtime.client, self._history)

    def resume(self) -> None:
        """Go on after `pause()`.

        Raises:
            Conflict: The run is not paused.
        """
        verbs.resume(self.runtime.client, self._history)

    def cancel(self, reason: str = "cancelled by a caller") -> None:
        """End the run; tools that run now are told by `ToolContext.cancelled`.

        Raises:
            Conflict: The run is over.
            InputError: The reason is longer than an address may be.
        """
        verbs.cancel(self.runtime.client, self._history, reason)

    def stop(self) -> None:
        """Have the run end with an answer: the turn that is at work finishes, then the model answers without tools.

        Only where a worker calls the model. `cancel()` ends any run at once, without an answer.

        Raises:
            Conflict: The run is over or paused, its model is called by the server, or it cannot be stopped right now.
        """
        stopping.stop(self.runtime.client, self._history)

    def retry(self) -> None:
        """Go on at the very call that failed; nothing that finished is done again.

        Raises:
            Conflict: The run is alive, or ended with an answer.
        """
        verbs.retry(self.runtime.client, self._history)

    def stream(
        self,
        from_: int = 0,
        *,
        tokens: bool = False,
        timeout: float | None = None,
        on_away: Callable[[], None] = lambda: None,
    ) -> EventStream[OutputT]:
        """The run's events, from the one after the cursor `from_`, until the run is over.

        Args:
            from_: `seq` of the last event already seen; 0 for all of them.
            tokens: Give `text_delta` events between the others, with what the model says while it says it: at once in
                the process that calls the model, and a third of a second later in others. They are provisional, and
                what is stored of the step replaces them. A call that had begun before anybody listened comes whole,
                unless the agent has `ModelSettings(stream=True)`; so does what the server's own call brings.
            timeout: Seconds to follow the run at most; None waits for its end.
            on_away: Called each time the server does not answer; it is waited for.

        Raises:
            InputError: `from_` is negative, or no whole number; `timeout` is no number of seconds.
        """
        if not is_count(from_):
            raise InputError(f"from_ must be the `seq` of an event, or 0, not {from_!r}")
        check_timeout(timeout)
        return EventStream(self, self._history, from_, timeout, on_away, tokens=tokens)

    def result(self, timeout: float | None = None) -> AgentResult[OutputT]:
        """Wait for the end of the run and return what it gave.

        Args:
            timeout: Seconds to wait at most; the run goes on after that.

        Raises:
            ExecutionFailed: The run failed.
            ExecutionTerminated: Somebody cancelled it.
            ExecutionTimedOut: It met the agent's own time limit.
            InputError: `timeout` is no number of seconds.
            OutputInvalid: The answer does not fit the agent's `output_type`, or the handle's.
            WaitTimeout: `timeout` is over and the run is not.
        """
        blocking.check("result()")
        wait, woken = Waiting(self.runtime.client, self.execution_id, timeout), threading.Event()
        with self.runtime.listeners.waiting(self.execution_id, woken.set):
            moved = False
            while (found := wait.reading(self._result_so_far)) is None:
                wait.pause(moved=moved, sleep=woken.wait)
                moved = woken.is_set()
                woken.clear()
        return found

    async def result_async(self, timeout: float | None = None) -> AgentResult[OutputT]:
        """Wait for the end of the run on an event loop, and return what it gave; see `result`."""
        wait, woken = Waiting(self.runtime.client, self.execution_id, timeout), aio.Woken()
        with self.runtime.listeners.waiting(self.execution_id, woken.set):
            moved = False
            while (found := await aio.reading(wait, self._result_so_far)) is None:
                await aio.pause(wait, moved=moved, sleep=woken.wait_for)
                moved = woken.is_set()
                woken.clear()
        return found

    def _result_so_far(self) -> AgentResult[Any] | None:
        run = self.runtime.client.workflow(self.execution_id, tasks=False)
        if not run.ended:
            return None
        TRACES.ended(self.runtime.client, self.execution_id)
        result = replace(result_of(run), source=self._history)
        if result.is_failed:
            result = so_far(result, self._history.status(), self._history.turns())
        if result.is_failed and not self.runtime.settings.compat:
            raise error_of(run, result)
        answer = self._answers.get(str(run.output.get(ANSWERED_BY)), self._answers[""])
        if answer is not None and result.is_success:
            result = typed(result, answer)
        return compat.result(result) if self.runtime.settings.compat else result

    # ---- the same on an event loop --------------------------------------------------------------------

    def stream_async(
        self,
        from_: int = 0,
        *,
        tokens: bool = False,
        timeout: float | None = None,
        on_away: Callable[[], None] = lambda: None,
    ) -> AsyncEvents:
        """The run's events for `async for`; see `stream`."""
        return self.stream(from_, tokens=tokens, timeout=timeout, on_away=on_away).__aiter__()

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

    async def stop_async(self) -> None:
        """Have the run end with an answer; see `stop`."""
        await aio.in_thread(self.stop)

    async def retry_async(self) -> None:
        """Go on at the very call that failed; see `retry`."""
        await aio.in_thread(self.retry)


def _answer_types(given: Any) -> dict[str, AnswerType | None]:
    """The type of its answer by who gives it, where an agent hands over; by the name "" for all others."""
    if isinstance(given, Agent):
        return {name: each.answer_type for name, each in crew(given).items()} | {"": given.answer_type}
    return {"": None if given is None or given is str else answer_type(given, "output_type")}
