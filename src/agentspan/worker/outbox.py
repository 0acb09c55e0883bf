"""What a worker host tells the server of its calls: results, and calls that it hands back."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from agentspan.control.watchdog import Watchdog
from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import NotFound, ServerError, ServerRejected
from agentspan.stored.intervention import Intervention, interventions_of, with_intervention
from agentspan.stored.names import (
    TURNS_PER_SEGMENT,
    call_key,
    is_forked,
    model_task_name,
    pool_task_name,
    tool_reference,
)
from agentspan.telemetry.calls import CallTelemetry
from agentspan.worker.call import Call, Json, failed
from agentspan.worker.callers import Callers
from agentspan.worker.calls import Calls
from agentspan.worker.earlier import Earlier
from agentspan.worker.leases import Leases
from agentspan.worker.tokens import Listeners

log: logging.Logger = logging.getLogger("agentspan.worker")

REMEMBERED, REMEMBERED_BYTES = 1000, 16_000_000
"""Finished calls whose results are kept, in case the server asks again because a report came late; their JSON."""

STORED = 6
"""Seconds that a call waits in its queue while its note is written: Conductor puts a call back first, and stores what
its report says after that (source: `WorkflowExecutorOps.updateTask`, 3.32.3). A poll between would not see the note."""

ASKED_AGAIN = 300.0
"""Seconds within which the server asks again: it notices what it has lost after two minutes at the latest."""


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
        callers: Callers,
        leases: Leases,
        telemetry: CallTelemetry,
        watchdog: Watchdog,
        listeners: Listeners,
        stopping: threading.Event,
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._calls = calls
        self._callers = callers
        self._leases = leases
        self._telemetry = telemetry
        self._watchdog = watchdog
        self._listeners = listeners
        self._stopping = stopping
        self._memory = Memory()
        self._earlier = Earlier(client)

    @property
    def stopping(self) -> bool:
        """Whether the host takes no more calls."""
        return self._stopping.is_set()

    def address(self, task: TaskRecord) -> Json:
        """How an update of a task is addressed."""
        return {
            "taskId": task.task_id,
            "workflowInstanceId": task.workflow_instance_id,
            "workerId": self._worker_id,
        }

    def remembered(self, call: Call) -> Json | None:
        """What was reported of a call that is handed out again: the report came late, or its segment is begun anew.

        Raises:
            ServerError: What was done before cannot be read now.
        """
        for task, outcome in self._earlier.outcomes(call):
            self._keep(task, outcome)
        return self._memory.get(call.key, _made_with(call.task))

    def _keep(self, task: TaskRecord, outcome: Json) -> None:
        if _is_kept(task, outcome):
            self._memory.put(task.key, outcome, _made_with(task))

    def recall(self, execution_id: str, step: int, reference: str) -> Json | None:
        """What was last reported of a call, while it is kept."""
        return self._memory.get(call_key(execution_id, step, reference))

    def finish(self, call: Call, outcome: Json) -> bool:
        """Report a call, unless that was done; whether it was done now."""
        with call.lock:
            if call.finished.is_set():
                return False
            call.outcome = outcome
            call.finished.set()
        self._keep(call.task, outcome)
        self._leases.release(call.task.task_id)
        self._telemetry.ends(call, outcome)
        self.report(call)
        return True

    def report(self, call: Call) -> None:
        """Give the server the outcome of a finished call."""
        outcome = call.outcome or failed(call, "The call ended without a report.", final=True)
        at_once = outcome["status"] == "IN_PROGRESS" and outcome["callbackAfterSeconds"] < 1
        if not (self._deliver_at_once(call, outcome) if at_once else self._deliver(call, outcome)):
            unstored = "The result could not be stored; the worker's log says why."
            self._deliver(call, failed(call, unstored, final=True))
        self._calls.end(call)

    def hand_back(self, task: TaskRecord, after: int = 0, note: Json | None = None) -> None:
        """Put a call back into its queue, so that another worker takes it.

        Args:
            task: What was polled.
            after: Seconds until it is handed out again.
            note: What its readers are to know.
        """
        self._leases.release(task.task_id)
        result: Json = {**self.address(task), "status": "IN_PROGRESS", "callbackAfterSeconds": after}
        try:
            self._client.update_task({**result, "outputData": {**task.output_data, **(note or {})}})
            log.info("Handed back %s of %s.", task.reference_task_name, task.workflow_instance_id)
        except ServerError as error:
            log.warning(
                "Could not hand back %s of %s; it is taken over when its lease ends: %s",
                task.reference_task_name,
                task.workflow_instance_id,
                error,
            )

    def give_up(self, call: Call) -> None:
        """Hand back a call that is still at work, because this host ends."""
        if self.forget(call):
            at = int(call.host.now() * 1000)
            stopped = Intervention(verb="handed_back", by=self._worker_id, at=at, cut_off=self._worker_id)
            self.hand_back(call.task, note=with_intervention(call.task.output_data, stopped))

    def forget(self, call: Call) -> bool:
        """Let the outcome of a call count no more, whatever it will be; whether there was none yet."""
        call.lost.set()
        with call.lock:
            if call.finished.is_set():
                return False
            call.finished.set()
        self._leases.release(call.task.task_id)
        self._telemetry.ends(call, None)
        return True

    def is_wanted_anew(self, task: TaskRecord) -> bool:
        """Whether a person wants another try than the one before; asked of calls that are at work here only."""
        if task.retried_task_id is None:
            return False
        try:
            found = interventions_of(self._client.task(task.retried_task_id).output_data)
        except ServerError as error:
            log.debug("The earlier attempt of %s cannot be read: %s", task.reference_task_name, error)
            return False
        return bool(found) and found[-1].verb == "retried"

    def _deliver_at_once(self, call: Call, outcome: Json) -> bool:
        """Deliver what is tried again now: first the note, then its place in the queue."""
        sent = time.monotonic()
        taken = self._deliver(call, {**outcome, "callbackAfterSeconds": STORED})
        if taken and time.monotonic() - sent < STORED / 2:  # later, another worker may have it already
            self._deliver(call, outcome)
        return taken

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
            if _ends_request(call):
                self._hasten_caller(segment)
            elif is_forked(reference):
                if not self._calls.any_of(segment):
                    self._client.decide(segment)
            elif reference == tool_reference(TURNS_PER_SEGMENT) or _ends_run(call):
                if segment != call.given.execution_id:  # else the report has ended it
                    self._client.decide(call.given.execution_id)
                self._watchdog.forget(segment)
                if call.served.caller is not None and _ends_run(call):
                    self._hasten_caller(call.given.execution_id)
            if _ends_run(call):
                self._wake_who_waits(call)
        except ServerError as error:
            log.debug("The engine looks at %s when it does: %s", call, error)

    def _wake_who_waits(self, call: Call) -> None:
        """Let who waits for the run in this process look whether it is over."""
        if self._listeners.wait:
            execution_id = call.given.execution_id
            first = None if call.served.caller is None else self._callers.first(execution_id)
            self._listeners.may_be_over(first or execution_id)

    def _hasten_caller(self, execution_id: str) -> None:
        """Have the engine look at what has begun an execution that has just ended, unless others of it are at work."""
        above = self._callers.parent(execution_id)
        if above is None or any(self._callers.is_in(call.given.execution_id, above) for call in self._calls.all()):
            return
        self._client.decide(above)


def _is_kept(task: TaskRecord, outcome: Json) -> bool:
    """Whether an outcome is given again where the server hands the call out again."""
    if task.kind == "pool":  # what others have used by then is to be looked at anew
        return False
    # A model's call that failed ends its run; one that is retried is to ask again.
    return outcome["status"] == "COMPLETED" or (outcome["status"] != "IN_PROGRESS" and task.kind == "tool")


def _made_with(task: TaskRecord) -> str | None:
    """What a call was given, in short; None of a model's call, whose input says where it stands, and not what is said.

    A segment that is begun anew, and whose model the server calls, may make other calls in the places of those before.
    """
    if task.kind == "llm":
        return None
    return hashlib.sha256(json.dumps([task.task_def_name, task.input_data], sort_keys=True).encode()).hexdigest()


def queues_after(call: Call) -> Iterable[str]:
    """Where the engine puts the calls that follow this one, as far as workers make them."""
    if call.task.kind != "llm":
        return (pool_task_name(call.served.agent), model_task_name(call.served.agent))
    result = (call.outcome or {}).get("outputData", {}).get("result") or {}
    return {planned["task"] for planned in result.get("calls", ()) if planned["task"]}


def _ends_request(call: Call) -> bool:
    """Whether a call that needed a person is over: it is made in a workflow of its own, or is not made at all."""
    if call.given.call is None:
        return False
    result = (call.outcome or {}).get("outputData", {}).get("result")
    refused = isinstance(result, dict) and result.get("mode") == "refuse"
    return call.task.kind == "tool" or (call.task.kind == "approval" and refused)


def _ends_run(call: Call) -> bool:
    """Whether a model has given the run's answer."""
    outcome = call.outcome or {}
    result = outcome.get("outputData", {}).get("result")
    return call.task.kind in ("llm", "output") and isinstance(result, dict) and result.get("mode") == "done"


class Memory:
    """Outcomes of the last calls, no more than a process can well hold."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, int, Json, str | None]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: str, outcome: Json, made_with: str | None = None) -> None:
        """Keep what was reported of a call that was made with this."""
        size = len(json.dumps(outcome))
        with self._lock:
            self._drop(key)
            self._kept[key] = time.monotonic(), size, outcome, made_with
            self._bytes += size
            while self._kept and self._is_over(next(iter(self._kept.values()))[0]):
                self._drop(next(iter(self._kept)))

    def get(self, key: str, made_with: str | None = None) -> Json | None:
        """What was reported of a call, while it is kept; of one that was made with this, where that is said."""
        with self._lock:
            found = self._kept.get(key)
            return None if found is None or made_with not in (None, found[3]) else found[2]

    def _is_over(self, since: float) -> bool:
        too_much = len(self._kept) > REMEMBERED or self._bytes > REMEMBERED_BYTES
        return too_much or time.monotonic() - since > ASKED_AGAIN

    def _drop(self, key: str) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
