"""Running a call: a sync tool in a thread of its own, an async one on the event loop that all share."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from agentspan.call import Call, Json, completed, is_another, mismatched, raised, timed_out
from agentspan.client import Conductor
from agentspan.errors import NotFound, ServerError
from agentspan.schema import ArgumentError
from agentspan.telemetry.calls import CallTelemetry
from agentspan.worker.outbox import Outbox, pause_after

log = logging.getLogger("agentspan.worker")


class Runner:
    """Runs calls and gives what came of them to the outbox.

    Args:
        client: The server.
        worker_id: What the server calls this host.
        outbox: Takes the outcomes.
        telemetry: Is told when a call begins.
        on_end: Called when a call has been reported.
    """

    def __init__(
        self,
        client: Conductor,
        worker_id: str,
        outbox: Outbox,
        telemetry: CallTelemetry,
        on_end: Callable[[], None],
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._outbox = outbox
        self._telemetry = telemetry
        self._on_end = on_end
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, call: Call) -> None:
        """Begin a call."""
        if call.served.tool.is_async:
            asyncio.run_coroutine_threadsafe(self._run_async(call), self._event_loop())
        else:
            _in_thread(call, lambda: self._run_sync(call))

    def report_again(self, call: Call, outcome: Json) -> None:
        """Give the server an outcome that it did not take when it was first told."""
        _in_thread(call, lambda: self._finish(call, outcome))

    def end_overdue(self, call: Call) -> None:
        """End a sync call that has met its tool's time limit; what it still does counts no more."""
        limit = call.served.tool.timeout
        if limit is None or call.served.tool.is_async or time.monotonic() - call.started <= limit:
            return
        call.lost.set()
        _in_thread(call, lambda: self._finish(call, raised(call, timed_out(call))))

    def stop(self) -> None:
        """End the event loop; what is left on it is cancelled."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = loop = asyncio.new_event_loop()
            threading.Thread(target=lambda: _turn(loop), name="agentspan-async", daemon=True).start()
        return self._loop

    def _run_sync(self, call: Call) -> None:
        self._look_back(call)
        self._telemetry.begins(call)
        try:
            with self._telemetry.running(call):
                value = call.served.tool.invoke(call.task.input_data.get("args") or {}, call.context())
            outcome = completed(call, value)
        except ArgumentError as error:
            outcome = self._unfit(call, error)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = raised(call, error)
        self._finish(call, outcome)

    async def _run_async(self, call: Call) -> None:
        await asyncio.to_thread(self._look_back, call)
        await asyncio.to_thread(self._telemetry.begins, call)
        try:
            value = await self._awaited(call)
            outcome = completed(call, value)
        except ArgumentError as error:
            outcome = await asyncio.to_thread(self._unfit, call, error)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = raised(call, error)
        await asyncio.to_thread(self._finish, call, outcome)

    async def _awaited(self, call: Call) -> Any:
        tool = call.served.tool
        try:
            async with asyncio.timeout(tool.timeout) as limit:
                with self._telemetry.running(call):
                    return await tool.invoke(call.task.input_data.get("args") or {}, call.context())
        except TimeoutError as error:
            if limit.expired():
                raise timed_out(call) from error
            raise

    def _finish(self, call: Call, outcome: Json) -> None:
        if self._outbox.finish(call, outcome):
            self._on_end()
            self._outbox.hasten(call)

    def _look_back(self, call: Call) -> None:
        """Count what dead workers' attempts have failed: the engine does not hand their notes on."""
        before = call.task.retried_task_id
        trouble = 0
        while before is not None:
            try:
                attempt = self._client.task(before)
            except NotFound:
                return
            except ServerError as error:
                log.debug("The earlier attempt of %s cannot be read yet: %s", call, error)
                trouble = pause_after(trouble)
                continue
            call.earlier_failures += len(attempt.output_data.get("failures", []))
            before = attempt.retried_task_id

    def _unfit(self, call: Call, error: ArgumentError) -> Json:
        """The model's mistake, unless it was shown other parameters than the tool has that is served here."""
        trouble = 0
        while True:
            try:
                segment = self._client.workflow(call.task.workflow_instance_id, tasks=False)
            except NotFound:
                return raised(call, error)
            except ServerError as away:
                log.debug("What the model was shown for %s cannot be read yet: %s", call, away)
                trouble = pause_after(trouble)
                continue
            if segment.workflow_version == call.served.version or not is_another(segment, call.served.tool):
                return raised(call, error)
            log.warning("%s is left to a worker with version %d of the agent", call, segment.workflow_version)
            return mismatched(call, segment.workflow_version, error, self._worker_id)


def _in_thread(call: Call, target: Callable[[], None]) -> None:
    threading.Thread(target=target, name=f"agentspan-{call.served.tool.name}", daemon=True).start()


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop):  # which cancels what is left, and closes the loop
        loop.run_forever()
