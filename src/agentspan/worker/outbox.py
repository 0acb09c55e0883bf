"""What a worker host tells the server of its calls: results, and calls that it hands back."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

from agentspan.call import Call, Json, failed
from agentspan.client import Conductor
from agentspan.compiler import TURNS_PER_SEGMENT, is_forked, tool_reference
from agentspan.errors import NotFound, ServerError, ServerRejected
from agentspan.leases import Leases
from agentspan.records import TaskRecord
from agentspan.telemetry.calls import CallTelemetry
from agentspan.watchdog import Watchdog
from agentspan.worker.calls import Calls

log = logging.getLogger("agentspan.worker")

REMEMBERED = 1000
"""Finished calls whose results are kept, in case the server asks again because a report came late."""


def pause_after(trouble: int) -> int:
    """Wait before the next try of what the server did not answer; how many there have been then."""
    time.sleep(min(1.0, 0.1 * (trouble + 1)))
    return trouble + 1


class Outbox:
    """Gives the server what it must know of calls, however long it is away."""

    def __init__(
        self,
        client: Conductor,
        worker_id: str,
        calls: Calls,
        leases: Leases,
        telemetry: CallTelemetry,
        watchdog: Watchdog,
        stopping: threading.Event,
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._calls = calls
        self._leases = leases
        self._telemetry = telemetry
        self._watchdog = watchdog
        self._stopping = stopping
        self._remembered: OrderedDict[str, Json] = OrderedDict()
        self._lock = threading.Lock()

    def address(self, task: TaskRecord) -> Json:
        """How an update of a task is addressed."""
        return {
            "taskId": task.task_id,
            "workflowInstanceId": task.workflow_instance_id,
            "workerId": self._worker_id,
        }

    def remembered(self, call: Call) -> Json | None:
        """What was reported of a call that the server hands out again, because the report came late."""
        with self._lock:
            return self._remembered.get(call.key)

    def finish(self, call: Call, outcome: Json) -> bool:
        """Report a call, unless that was done; whether it was done now."""
        with call.lock:
            if call.finished.is_set():
                return False
            self._remember(call, outcome)
            call.finished.set()
        self._leases.release(call.task.task_id)
        self._telemetry.ends(call, outcome)
        if not self._deliver(call, outcome):
            unstored = "The result could not be stored; the worker's log says why."
            self._deliver(call, failed(call, unstored, final=True))
        self._calls.end(call)
        return True

    def hand_back(self, call: Call, after: int = 0) -> None:
        """Put the call back into its queue, so that another worker takes it: at once, or `after` seconds."""
        self._leases.release(call.task.task_id)
        result: Json = {**self.address(call.task), "status": "IN_PROGRESS", "callbackAfterSeconds": after}
        try:
            self._client.update_task({**result, "outputData": call.task.output_data})
            log.info("Handed back %s.", call)
        except ServerError as error:
            log.warning("Could not hand back %s; it is taken over when its lease ends: %s", call, error)

    def give_up(self, call: Call) -> None:
        """Hand back a call that is still at work, because this host ends."""
        with call.lock:
            if call.finished.is_set():
                return
            call.finished.set()
        self._telemetry.ends(call, None)
        self.hand_back(call)

    def _remember(self, call: Call, outcome: Json) -> None:
        if outcome["status"] == "IN_PROGRESS":
            return
        with self._lock:
            self._remembered[call.key] = outcome
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)

    def _deliver(self, call: Call, outcome: Json) -> bool:
        """Whether the server took it, or has forgotten the call; False when it never will."""
        trouble = 0
        while True:
            try:
                self._client.update_task({**self.address(call.task), **outcome})
            except NotFound:
                log.warning("The server no longer knows the call %s; its result is dropped.", call)
            except ServerError as error:
                if isinstance(error, ServerRejected) and error.status is not None and error.status < 500:
                    log.error("The result of %s was refused: %s", call, error)
                    return False
                if trouble == 0:
                    log.warning("The result of %s waits until the server takes it: %s", call, error)
                trouble = pause_after(trouble)
                continue
            except Exception:  # what cannot even be sent must not leave the call running for ever
                log.exception("The result of %s cannot be sent", call)
                return False
            return True

    def hasten(self, call: Call) -> None:
        """Have the engine look at once at what it would notice a little later by itself.

        That is the end of a segment, after its last turn, and a fork whose calls were reported at the same time: the
        embedded server passes over what it cannot look at at once.
        """
        if self._stopping.is_set():
            return
        reference, segment = call.task.reference_task_name, call.task.workflow_instance_id
        try:
            if is_forked(reference):
                if not self._calls.any_of(segment):
                    self._client.decide(segment)
            elif reference == tool_reference(TURNS_PER_SEGMENT):
                self._client.decide(str(call.task.input_data["execution_id"]))
                self._watchdog.forget(segment)
        except ServerError as error:
            log.debug("The engine looks at %s when it does: %s", call, error)
