"""What a worker host tells of the calls it serves: one value with a method for each thing that happens to a call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentspan.engine.client import Conductor
from agentspan.errors import ServerError
from agentspan.telemetry import metrics
from agentspan.telemetry.traces import TRACES, Attempt

if TYPE_CHECKING:
    from agentspan.worker.call import Call, Served

log: logging.Logger = logging.getLogger("agentspan.telemetry")

_OUTCOMES = {"COMPLETED": "completed", "IN_PROGRESS": "retried", "FAILED_WITH_TERMINAL_ERROR": "failed"}


@dataclass
class _Running:
    attempt: Attempt
    began: float
    returned: bool = False
    error_type: str | None = None

    def why(self) -> str:
        """Kind of its failure."""
        if self.error_type is not None:
            return self.error_type
        return "ResultError" if self.returned else "TimeoutError"


class CallTelemetry:
    """Counts and traces the calls of one worker host.

    Args:
        client: The server, which knows what trace a run belongs to.
        worker_id: The worker's name on the server.
    """

    def __init__(self, client: Conductor, worker_id: str) -> None:
        self._client = client
        self._worker_id = worker_id
        self._running: dict[int, _Running] = {}
        self._recorder = TRACES.recorder(client, worker_id)

    def polled(self, served: Served) -> None:
        """The host has asked for calls of a tool."""
        metrics.POLLS.labels(*_labels(served)).inc()

    def poll_failed(self) -> None:
        """The server did not answer."""
        metrics.POLL_FAILURES.inc()

    def begins(self, call: Call) -> None:
        """The call's function is about to be called; may ask the server, so not from an event loop."""
        running = _Running(TRACES.attempt(call, self._client, self._worker_id), time.monotonic())
        self._recorder.served(call)
        labels = _labels(call.served)
        with call.lock:
            if call.finished.is_set():  # it was handed back, or met its time limit, before it began
                return
            self._running[id(call)] = running
            metrics.IN_FLIGHT.labels(*labels).inc()
        if call.task.poll_count == 1:
            due = call.task.scheduled_time + 1000 * call.task.callback_after_seconds
            metrics.QUEUE_SECONDS.labels(*labels).observe(max(0, call.task.start_time - due) / 1000)

    @contextmanager
    def running(self, call: Call) -> Iterator[None]:
        """What happens inside is the tool's own."""
        running = self._running.get(id(call))
        if running is None:
            yield
            return
        with running.attempt.active():
            try:
                yield
            except asyncio.CancelledError:  # its time limit, or the end of the worker
                raise
            except BaseException as error:
                running.error_type = type(error).__qualname__
                raise
            running.returned = True

    def ends(self, call: Call, report: dict[str, Any] | None) -> None:
        """The attempt is over: its report to the server, or None when the call was handed back."""
        running = self._running.pop(id(call), None)
        if running is None:  # the result of before is reported again
            return
        labels = _labels(call.served)
        metrics.IN_FLIGHT.labels(*labels).dec()
        metrics.CALL_SECONDS.labels(*labels).observe(time.monotonic() - running.began)
        outcome = "handed_back" if report is None else _OUTCOMES[report["status"]]
        metrics.ATTEMPTS.labels(*labels, outcome).inc()
        running.attempt.end(report, running.why())

    def round(self) -> None:
        """Write down what the server has done meanwhile for the runs that were served; call it now and then.

        Raises:
            ServerError: The server cannot be asked now.
        """
        self._recorder.round()

    def finish(self) -> None:
        """The host stops: write down what there is."""
        try:
            self._recorder.finish()
        except ServerError as error:
            log.debug("The last model calls are not traced: %s", error)


def _labels(served: Served) -> tuple[str, str]:
    return served.agent, served.tool.name
