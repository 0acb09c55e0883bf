"""The worker host: serves the tools of any number of agents from one process.

One thread polls. Each sync call gets a thread, async calls share one event loop. A watch thread
enforces time limits and looks after runs that stand still; a process of its own keeps the leases of
running calls alive. A call leaves the host only when the server has its result, so a server that is
away for a while loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentspan.agent import Agent
from agentspan.call import (
    Call,
    Json,
    Served,
    completed,
    failed,
    is_another,
    mismatched,
    raised,
    settled,
    timed_out,
)
from agentspan.client import Conductor
from agentspan.compiler import TURNS_PER_SEGMENT, is_forked, segment_name, tool_reference, tool_task_name
from agentspan.errors import NotFound, ServerError, ServerRejected, WorkerError
from agentspan.health import HealthFile
from agentspan.leases import Leases
from agentspan.records import TaskRecord
from agentspan.schema import ArgumentError
from agentspan.telemetry.calls import CallTelemetry
from agentspan.telemetry.logs import CallFields
from agentspan.watchdog import Watchdog

log = logging.getLogger("agentspan.worker")
log.addFilter(CallFields())

LATE = 2.0
"""Seconds after which the answer to a poll may be too old: its calls may have been given to others."""

AGAIN = 1
"""Seconds until a call that could not be begun here is handed out again."""

QUICK, IDLE = 0.008, 0.08
"""Seconds between polls right after work, and when nothing has happened for a while."""

SHOW_UP = 5.0
"""Seconds between polls of every queue: what others read as "somebody serves this tool"."""

DISCOVER = 3.0
"""Seconds between searches for runs of the served agents that may stand still."""

SEARCHED = 32
"""Agents in one search: their names stand in its URL."""

JOIN = 5.0
"""Seconds that a stop waits for the poll that is on its way."""

REMEMBERED = 1000
"""Finished calls whose results are kept, in case the server asks again because a report came late."""


class WorkerHost:
    """Polls for tool calls and runs them, until it is stopped.

    Args:
        client: The server.
        concurrency: Calls that may run at once.
    """

    def __init__(self, client: Conductor, *, concurrency: int = 64) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}"
        self._client = client
        self._concurrency = concurrency
        self._served: dict[str, Served] = {}
        self._running: dict[str, Call] = {}
        self._remembered: OrderedDict[str, Json] = OrderedDict()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._active = time.monotonic()
        self._shown = 0.0
        self._watchdog = Watchdog(client)
        self._telemetry = CallTelemetry(client, self.worker_id)
        self._leases = Leases(client, self._lost)
        self._discovered = 0.0
        path = client.settings.health_file
        self._health = HealthFile(Path(path)) if path else None

    # ---- what it serves -------------------------------------------------------------------------------

    def serve(self, agent: Agent, version: int) -> None:
        """Serve an agent's tools from now on.

        Args:
            agent: Whose tools.
            version: The version that the agent is registered as.

        Raises:
            WorkerError: This host already serves other tools under the agent's name, or was stopped.
        """
        if self._stopping.is_set():
            raise WorkerError("This worker host was stopped.", hint="Make a new AgentRuntime.")
        for tool in agent.tools:
            name = tool_task_name(agent.name, tool.name)
            known = self._served.get(name)
            if known is not None and known.tool is not tool:
                log.info("The tool %s was defined again; the newer definition is served.", name)
            self._served[name] = Served(agent.name, version, tool)
        self._shown = 0.0
        self._changed.set()
        if self._served and not self._threads:
            self._start_thread("poll", self._poll_forever)
            self._start_thread("watch", self._watch_forever)

    def _start_thread(self, name: str, target: Any) -> None:
        thread = threading.Thread(target=target, name=f"agentspan-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    # ---- polling --------------------------------------------------------------------------------------

    def _poll_forever(self) -> None:
        trouble = 0
        while not self._stopping.is_set():
            try:
                more = self._poll_once()
                trouble = 0
            except ServerError as error:
                if self._stopping.is_set():  # the process ends, and its connections with it
                    return
                self._telemetry.poll_failed()
                trouble += 1
                self._discovered = 0.0
                if trouble == 1:
                    log.warning("Polling failed, will go on trying: %s", error)
                self._say_health(answered=False)
                self._stopping.wait(min(1.0, 0.1 * trouble))
                continue
            except Exception:  # a host that polls no more, and says nothing, is worse than one that errs
                log.exception("Polling met a defect")
                self._stopping.wait(1.0)
                continue
            self._say_health(answered=True)
            if not more:
                self._changed.wait(self._pause())
                self._changed.clear()

    def _say_health(self, *, answered: bool) -> None:
        if self._health is not None:
            self._health.turned(answered=answered)

    def _pause(self) -> float:
        quiet = time.monotonic() - self._active
        return min(IDLE, max(QUICK, quiet / 10))

    def _poll_once(self) -> bool:
        """Take what there is; whether a queue may hold more."""
        more = False
        for name in self._queues():
            free = self._concurrency - len(self._running)
            if free <= 0:
                return False
            self._telemetry.polled(self._served[name])
            asked = time.monotonic()
            tasks = self._client.poll(name, self.worker_id, free)
            late = time.monotonic() - asked > LATE
            calls = [Call(task, self._served[name], self._progress_of(task), self._leases.beat) for task in tasks]
            self._begin([call for call in calls if self._is_ours(call.task)] if late else calls)
            more = more or len(tasks) == free
        return more

    def _is_ours(self, task: TaskRecord) -> bool:
        """Whether a call that came late is ours still: a tool may have held the interpreter meanwhile."""
        try:
            now = self._client.task(task.task_id)
        except ServerError as error:
            log.info("%s came late and is left to others: %s", task.reference_task_name, error)
            return False
        return now.status == "IN_PROGRESS" and now.poll_count == task.poll_count

    def _begin(self, calls: list[Call]) -> None:
        try:
            # All before the first begins: a tool may hold the interpreter from its first moment on.
            self._leases.hold([self._address(call.task) for call in calls])
        except RuntimeError as error:  # no thread is to be had, nor for the calls
            log.warning("The leases cannot be kept alive: %s", error)
        for call in calls:
            try:
                self._accept(call)
            except Exception:  # the server counts on us for the calls after this one, too
                log.exception("%s cannot be begun here and is handed back", call)
                with self._lock:
                    self._running.pop(call.task.task_id, None)
                self._hand_back(call, after=AGAIN)

    def _queues(self) -> list[str]:
        """The queues worth a poll: all of them now and then, else those that hold something."""
        names = list(self._served)
        now = time.monotonic()
        if len(names) <= 1 or now - self._shown > SHOW_UP:
            self._shown = now
            return names
        sizes = self._client.queue_sizes(names)
        return [name for name in names if sizes.get(name, 0)]

    def _progress_of(self, task: TaskRecord) -> Callable[[str], None]:
        def say(message: str) -> None:
            try:
                self._client.log_task(task.task_id, message)
            except ServerError as error:
                log.debug("The progress of %s was not stored: %s", task.reference_task_name, error)

        return say

    def _accept(self, call: Call) -> None:
        self._active = time.monotonic()
        if self._stopping.is_set():
            self._hand_back(call)
            return
        self._watchdog.progressed(call.task.workflow_instance_id)
        with self._lock:
            twin = next((other for other in self._running.values() if other.key == call.key), None)
        if twin is not None and self._goes_on(twin, call.task):
            return
        with self._lock:
            self._running[call.task.task_id] = call
            known = self._remembered.get(call.key)
        if known is not None:
            self._run_in_thread(call, lambda: self._finish(call, known))
        elif call.served.tool.is_async:
            asyncio.run_coroutine_threadsafe(self._run_async(call), self._event_loop())
        else:
            self._run_in_thread(call, lambda: self._run_sync(call))

    def _goes_on(self, running: Call, task: TaskRecord) -> bool:
        """Whether a call that the server hands out again is still at work here, and will report for this task too."""
        before = running.task.task_id
        if not running.continue_as(task):
            return False
        if before == task.task_id:
            return True
        self._leases.release(before)
        log.info("%s was given up by the server, but is still at work here.", running)
        with self._lock:
            self._running.pop(before, None)
            self._running[task.task_id] = running
        return True

    def _run_in_thread(self, call: Call, target: Any) -> None:
        threading.Thread(target=target, name=f"agentspan-{call.served.tool.name}", daemon=True).start()

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:  # a sync tool's thread may ask for it, too
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                self._start_thread("async", lambda: _run(loop))
            return self._loop

    # ---- running a call -------------------------------------------------------------------------------

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
                trouble = self._pause_after(trouble)
                continue
            call.earlier_failures += len(attempt.output_data.get("failures", []))
            before = attempt.retried_task_id

    def _run_sync(self, call: Call) -> None:
        self._look_back(call)
        self._telemetry.begins(call)
        try:
            with self._telemetry.running(call):
                given = call.served.tool.invoke(call.task.input_data.get("args") or {}, call.context())
                value = settled(call, given, self._event_loop)
            outcome = completed(call, value)
        except ArgumentError as error:
            outcome = self._unfit(call, error)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = raised(call, error)
        self._finish(call, outcome)

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
                trouble = self._pause_after(trouble)
                continue
            if segment.workflow_version == call.served.version or not is_another(segment, call.served.tool):
                return raised(call, error)
            log.warning("%s is left to a worker with version %d of the agent", call, segment.workflow_version)
            return mismatched(call, segment.workflow_version, error, self.worker_id)

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
        with call.lock:
            if call.finished.is_set():
                return
            self._remember(call, outcome)
            call.finished.set()
        self._leases.release(call.task.task_id)
        self._telemetry.ends(call, outcome)
        self._report(call, outcome)

    # ---- reporting ------------------------------------------------------------------------------------

    def _report(self, call: Call, outcome: Json) -> None:
        """Give the outcome to the server, however long the server is away."""
        if not self._deliver(call, outcome):
            unstored = "The result could not be stored; the worker's log says why."
            self._deliver(call, failed(call, unstored, final=True))
        with self._lock:
            full = len(self._running) >= self._concurrency
            # A try that is to be repeated may have been handed out again already.
            if self._running.get(call.task.task_id) is call:
                del self._running[call.task.task_id]
        self._active = time.monotonic()
        if full:
            self._changed.set()
        if not self._stopping.is_set():
            self._hasten(call)

    def _hasten(self, call: Call) -> None:
        """Have the engine look at once at what it would notice a little later by itself.

        That is the end of a segment, after its last turn, and a fork whose calls were reported at the same time: the
        embedded server passes over what it cannot look at at once.
        """
        reference, segment = call.task.reference_task_name, call.task.workflow_instance_id
        try:
            if is_forked(reference):
                if not self._runs_in(segment):
                    self._client.decide(segment)
            elif reference == tool_reference(TURNS_PER_SEGMENT):
                self._client.decide(str(call.task.input_data["execution_id"]))
                self._watchdog.forget(segment)
        except ServerError as error:
            log.debug("The engine looks at %s when it does: %s", call, error)

    def _runs_in(self, segment: str) -> bool:
        with self._lock:
            return any(call.task.workflow_instance_id == segment for call in self._running.values())

    def _deliver(self, call: Call, outcome: Json) -> bool:
        """Whether the server took it, or has forgotten the call; False when it never will."""
        trouble = 0
        while True:
            try:
                self._client.update_task({**self._address(call.task), **outcome})
            except NotFound:
                log.warning("The server no longer knows the call %s; its result is dropped.", call)
            except ServerError as error:
                if isinstance(error, ServerRejected) and error.status is not None and error.status < 500:
                    log.error("The result of %s was refused: %s", call, error)
                    return False
                if trouble == 0:
                    log.warning("The result of %s waits until the server takes it: %s", call, error)
                trouble = self._pause_after(trouble)
                continue
            except Exception:  # what cannot even be sent must not leave the call running for ever
                log.exception("The result of %s cannot be sent", call)
                return False
            return True

    def _pause_after(self, trouble: int) -> int:
        time.sleep(min(1.0, 0.1 * (trouble + 1)))
        return trouble + 1

    def _remember(self, call: Call, outcome: Json) -> None:
        if outcome["status"] == "IN_PROGRESS":
            return
        with self._lock:
            self._remembered[call.key] = outcome
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)

    def _address(self, task: TaskRecord) -> Json:
        return {
            "taskId": task.task_id,
            "workflowInstanceId": task.workflow_instance_id,
            "workerId": self.worker_id,
        }

    def _lost(self, task_id: str) -> None:
        with self._lock:
            call = self._running.get(task_id)
        if call is not None:
            call.lost.set()

    # ---- time limits, and runs that stand still -------------------------------------------------------

    def _watch_forever(self) -> None:
        while not self._stopping.wait(0.25):
            self._watch_once()
            try:
                self._leases.refresh()
                self._discover()
                self._watchdog.round()
                self._telemetry.round()
            except ServerError as error:
                log.debug("The watchdog could not look: %s", error)
                self._watchdog.hurry()
            except Exception:  # a watch that ends unseen is worse than one that errs
                log.exception("The watchdog met a defect")

    def _discover(self) -> None:
        """Watch what runs of our agents there are: a run whose worker has died is known to nobody else."""
        if time.monotonic() - self._discovered < DISCOVER:
            return
        agents = sorted({served.agent for served in self._served.values()})
        for first in range(0, len(agents), SEARCHED):
            some = agents[first : first + SEARCHED]
            names = ",".join([*some, *(segment_name(agent) for agent in some)])
            for run in self._client.search(f"workflowType IN ({names}) AND status IN (RUNNING)", size=100):
                self._watchdog.watch(run.workflow_id)
        self._discovered = time.monotonic()

    def _watch_once(self) -> None:
        with self._lock:
            calls = list(self._running.values())
        for call in calls:
            limit = call.served.tool.timeout
            if limit is not None and not call.served.tool.is_async and time.monotonic() - call.started > limit:
                call.lost.set()
                self._run_in_thread(call, lambda call=call: self._finish(call, raised(call, timed_out(call))))

    # ---- the end --------------------------------------------------------------------------------------

    def stop(self, timeout: float = 30.0) -> None:
        """Poll no more, let running calls finish, hand back what is not done after `timeout` seconds."""
        self._stopping.set()
        self._changed.set()
        for thread in self._threads[:1]:  # what its last poll brings is handed back, too
            thread.join(min(timeout, JOIN))
        deadline = time.monotonic() + timeout
        while self._running and time.monotonic() < deadline:
            self._watch_once()
            time.sleep(0.02)
        with self._lock:
            rest = list(self._running.values())
        for call in rest:
            with call.lock:
                if not call.finished.is_set():
                    call.finished.set()
                    self._telemetry.ends(call, None)
                    self._hand_back(call)
        self._leases.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._health is not None:
            self._health.remove()
        self._telemetry.finish()

    def _hand_back(self, call: Call, after: int = 0) -> None:
        """Put the call back into its queue, so that another worker takes it: at once, or `after` seconds."""
        self._leases.release(call.task.task_id)
        result: Json = {**self._address(call.task), "status": "IN_PROGRESS", "callbackAfterSeconds": after}
        try:
            self._client.update_task({**result, "outputData": call.task.output_data})
            log.info("Handed back %s.", call)
        except ServerError as error:
            log.warning("Could not hand back %s; it is taken over when its lease ends: %s", call, error)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop):  # which cancels what is left, and closes the loop
        loop.run_forever()
