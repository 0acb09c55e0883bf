"""The worker host: serves the tools of any number of agents from one process.

A call leaves the host only when the server has its result, so a server that is away for a while
loses nothing.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from agentspan.control.watchdog import Watchdog
from agentspan.declare.agent import Agent
from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import ServerError, WorkerError
from agentspan.stored.inputs import CallInput
from agentspan.stored.names import model_task_name
from agentspan.telemetry.calls import CallTelemetry
from agentspan.telemetry.logs import CallFields
from agentspan.worker.call import Call
from agentspan.worker.callers import Callers
from agentspan.worker.calls import Calls
from agentspan.worker.credentials import require
from agentspan.worker.health import HealthFile
from agentspan.worker.leases import Leases
from agentspan.worker.other_versions import HANDED_ON, not_ours
from agentspan.worker.outbox import Outbox, queues_after
from agentspan.worker.poller import Poller
from agentspan.worker.roster import Roster
from agentspan.worker.runner import Runner
from agentspan.worker.tokens import Listeners
from agentspan.worker.watch import Watch

log: logging.Logger = logging.getLogger("agentspan.worker")
log.addFilter(CallFields())

AGAIN = 1
"""Seconds until a call that could not be begun here is handed out again."""

START = 60.0
"""Seconds that a call of a run which is not known here waits for the starts that are on their way."""

CONTEXTS = 256
"""Runs whose `context` is kept, once a tool has asked for it."""

SAY_SO = 1.0
"""Seconds after which a stop says what it waits for."""

JOIN = 5.0
"""Seconds that a stop waits for the poll that is on its way."""


class WorkerHost:
    """Polls for tool calls and runs them, until it is stopped.

    Args:
        client: The server.
        listeners: Who wants to know what models say while they say it.
        concurrency: Calls that may run at once.
    """

    def __init__(self, client: Conductor, listeners: Listeners, *, concurrency: int = 64) -> None:
        self.worker_id: str = _worker_id()
        self._client = client
        self._roster = Roster()
        self._callers = callers = Callers(client)
        self._contexts: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._calls = Calls(concurrency)
        self._stopping = threading.Event()
        self._polling: threading.Thread | None = None
        self._starting = threading.Lock()
        path = client.settings.health_file
        self._health = HealthFile(Path(path)) if path else None
        self._telemetry = telemetry = CallTelemetry(client, self.worker_id)
        self._leases = leases = Leases(client, self._lost)
        self._watchdog = dog = Watchdog(client)
        self._outbox = box = Outbox(
            client, self.worker_id, self._calls, callers, leases, telemetry, dog, listeners, self._stopping
        )
        self._runner = runner = Runner(client, self.worker_id, box, callers, telemetry, listeners, self._ended)
        self._watch = Watch(client, self._roster, self._calls, runner, leases, telemetry, dog, self._stopping)
        self._poller = Poller(
            client,
            self.worker_id,
            self._roster,
            self._calls,
            telemetry,
            self._health,
            self._begin,
            self._watch.discover_soon,
        )

    def serve(self, agent: Agent[Any], versions: Mapping[str, int]) -> None:
        """Serve the calls of an agent's tools from now on, whoever started the run.

        Args:
            agent: Whose tools.
            versions: The versions that it, and the agents it calls, are registered as, by their names.

        Raises:
            ConfigError: A tool asks for a credential that is not here.
            WorkerError: This host was stopped.
        """
        self._refuse_when_stopped()
        require(agent, self._client.settings.credentials)
        self._roster.serve(agent, versions)
        self._poll()

    def serve_run(self, agent: Agent[Any], versions: Mapping[str, int], start: Callable[[], str]) -> str:
        """Start a run, and serve its calls with these very tools.

        Args:
            agent: What is started.
            versions: The versions that it, and the agents it calls, are registered as, by their names.
            start: Starts the run; its id.

        Raises:
            ConfigError: A tool asks for a credential that is not here.
            WorkerError: This host was stopped.
        """
        self._refuse_when_stopped()
        require(agent, self._client.settings.credentials)
        with self._roster.starting(agent, versions) as started:
            execution_id = start()
            started(execution_id)
        self._poll()
        self._poller.expect([model_task_name(agent.name)])
        self._poller.expect_soon(model_task_name(name) for name in versions)  # members, and agents that it calls
        return execution_id

    def _refuse_when_stopped(self) -> None:
        if self._stopping.is_set():
            raise WorkerError("This worker host was stopped.", hint="Make a new AgentRuntime.")

    def _poll(self) -> None:
        self._poller.show_up()
        with self._starting:
            if self._roster.queues() and self._polling is None:
                self._leases.start()
                self._polling = _thread("poll", self._poller.forever)
                _thread("watch", self._watch.forever)

    def stop(self, timeout: float = 30.0) -> None:
        """Poll no more, let running calls finish, hand back what is not done after `timeout` seconds."""
        self._stopping.set()
        self._poller.stop()
        if self._polling is not None:  # what its last poll brings is handed back, too
            self._polling.join(min(timeout, JOIN))
        try:
            self._let_finish(timeout)
        finally:  # also after Ctrl-C: what is at work then is handed back at once
            for call in self._calls.all():
                self._outbox.give_up(call)
            self._leases.close()
            self._runner.stop()
            if self._health is not None:
                self._health.remove()
            self._telemetry.finish()

    def _let_finish(self, timeout: float) -> None:
        begun = time.monotonic()
        said = False
        while len(self._calls) and time.monotonic() - begun < timeout:
            self._watch.look_at_calls()
            time.sleep(0.02)
            if not said and time.monotonic() - begun > SAY_SO:
                said = True
                self._say_what_is_waited_for(timeout)

    def _say_what_is_waited_for(self, timeout: float) -> None:
        names = ", ".join(sorted({call.served.tool.name for call in self._calls.all()}))
        if sys.stderr is not None:
            sys.stderr.write(
                f"agentspan: waiting up to {timeout:g} s for {len(self._calls)} tool calls to finish: {names}. "
                "Ctrl-C hands them back.\n"
            )

    def after_fork(self) -> None:
        """The calls, the leases and the threads are the parent's."""
        self._leases.after_fork()

    def _begin(self, queue: str, tasks: list[TaskRecord]) -> None:
        try:
            # Hold every lease before any call starts: a tool that keeps the interpreter would stop us from holding
            # the rest.
            self._leases.hold([self._outbox.address(task) for task in tasks])
        except RuntimeError as error:  # no thread is to be had, nor for the calls
            log.warning("The leases cannot be kept alive: %s", error)
        for task in tasks:
            try:
                self._accept(queue, task)
            except Exception:  # the server counts on us for the calls after this one, too
                log.exception("%s of %s cannot be begun here", task.reference_task_name, task.workflow_instance_id)
                self._calls.drop(task.task_id)
                self._outbox.hand_back(task, after=AGAIN)

    def _accept(self, queue: str, task: TaskRecord) -> None:
        if self._stopping.is_set():
            self._outbox.hand_back(task)
            return
        self._watchdog.progressed(task.workflow_instance_id)
        starts = self._roster.pending_starts(queue, CallInput.of(task.input_data).execution_id)
        if starts:
            _thread("start", lambda: self._accept_after(starts, queue, task))
        else:
            self._take(queue, task)

    def _accept_after(self, starts: list[threading.Event], queue: str, task: TaskRecord) -> None:
        for start in starts:
            start.wait(START)
        self._take(queue, task)

    def _take(self, queue: str, task: TaskRecord) -> None:
        execution_id = CallInput.of(task.input_data).execution_id
        served = self._roster.of(queue, execution_id)
        if served is None and (caller := self._callers.first(execution_id)) is not None:
            served = self._roster.of(queue, caller)
        if served is None:
            note = not_ours(task, self._roster.in_queue(queue), self.worker_id, self.now())
            self._outbox.hand_back(task, HANDED_ON, note)
            return
        call = Call(task, served, self)
        twin = self._calls.twin_of(call)
        if twin is not None and self._goes_on(twin, task):
            return
        self._calls.add(call)
        self._poller.active()
        known = self._outbox.remembered(call)
        if known is not None and not self._outbox.is_wanted_anew(task):
            self._runner.report_again(call, known)
        else:
            self._runner.run(call)

    def _goes_on(self, running: Call, task: TaskRecord) -> bool:
        """Whether a call that the server hands out again is still at work here, and will report for this task too."""
        before = running.task.task_id
        if before != task.task_id and self._outbox.is_wanted_anew(task):
            log.info("%s begins anew, as a person wants, beside the try that is at work here.", running)
            self._calls.drop(before)
            self._outbox.forget(running)
            return False
        if not running.continue_as(task):
            return False
        if before == task.task_id:
            return True
        self._leases.release(before)
        log.info("%s was given up by the server, but is still at work here.", running)
        self._calls.drop(before)
        self._calls.add(running)
        return True

    def _ended(self, call: Call) -> None:
        self._poller.active()
        if not self._calls.any_of(call.task.workflow_instance_id):  # else what follows is here already
            self._poller.expect(queues_after(call))
            if call.served.caller is not None:  # what goes on then may be any agent around it
                self._poller.expect_soon(self._roster.model_queues())

    def _lost(self, task_id: str) -> None:
        call = self._calls.get(task_id)
        if call is not None:
            call.lost.set()

    # ---- what calls ask of their host -------------------------------------------------------------------

    def say(self, task: TaskRecord, message: str) -> None:
        """Store a line of progress."""
        try:
            self._client.log_task(task.task_id, message)
        except ServerError as error:
            log.debug("The progress of %s was not stored: %s", task.reference_task_name, error)

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._client.now()

    def beat(self, task_id: str) -> None:
        """Send a heartbeat now."""
        self._leases.beat(task_id)

    def waiting(self, call: Call) -> AbstractContextManager[None]:
        """While the call waits for another run, it takes no place."""
        return self._calls.waiting(call)

    def run_context(self, execution_id: str) -> Mapping[str, Any]:
        """The `context` that a run was started with."""
        found = self._contexts.get(execution_id)
        if found is None:
            given = self._client.workflow(execution_id, tasks=False).input
            caller = (given.get("called_by") or {}).get("execution_id")
            found = given.get("context") or (self.run_context(caller) if caller else {})
            self._contexts[execution_id] = found
            while len(self._contexts) > CONTEXTS:
                self._contexts.popitem(last=False)
        return found


_hosts = itertools.count(1)


def _worker_id() -> str:
    """A name that no other host has, in this process or elsewhere: a host knows by it what it has reported itself."""
    number = next(_hosts)
    return f"{socket.gethostname()}-{os.getpid()}" + (f"-{number}" if number > 1 else "")


def _thread(name: str, target: Any) -> threading.Thread:
    thread = threading.Thread(target=target, name=f"agentspan-{name}", daemon=True)
    thread.start()
    return thread
