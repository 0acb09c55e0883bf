"""The worker host: serves the tools of any number of agents from one process.

A call leaves the host only when the server has its result, so a server that is away for a while
loses nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentspan.agent import Agent
from agentspan.call import Call, Served
from agentspan.client import Conductor
from agentspan.compiler import tool_task_name
from agentspan.errors import ServerError, WorkerError
from agentspan.health import HealthFile
from agentspan.leases import Leases
from agentspan.records import TaskRecord
from agentspan.telemetry.calls import CallTelemetry
from agentspan.telemetry.logs import CallFields
from agentspan.watchdog import Watchdog
from agentspan.worker.calls import Calls
from agentspan.worker.outbox import Outbox
from agentspan.worker.poller import Poller
from agentspan.worker.runner import Runner
from agentspan.worker.watch import Watch

log = logging.getLogger("agentspan.worker")
log.addFilter(CallFields())

AGAIN = 1
"""Seconds until a call that could not be begun here is handed out again."""

JOIN = 5.0
"""Seconds that a stop waits for the poll that is on its way."""


class WorkerHost:
    """Polls for tool calls and runs them, until it is stopped.

    Args:
        client: The server.
        concurrency: Calls that may run at once.
    """

    def __init__(self, client: Conductor, *, concurrency: int = 64) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}"
        self._client = client
        self._served: dict[str, Served] = {}
        self._calls = Calls(concurrency)
        self._stopping = threading.Event()
        self._polling: threading.Thread | None = None
        path = client.settings.health_file
        self._health = HealthFile(Path(path)) if path else None
        self._telemetry = telemetry = CallTelemetry(client, self.worker_id)
        self._leases = leases = Leases(client, self._lost)
        self._watchdog = dog = Watchdog(client)
        self._outbox = Outbox(client, self.worker_id, self._calls, leases, telemetry, dog, self._stopping)
        self._runner = runner = Runner(client, self.worker_id, self._outbox, telemetry, self._ended)
        self._watch = Watch(client, self._served, self._calls, runner, leases, telemetry, dog, self._stopping)
        self._poller = Poller(
            client,
            self.worker_id,
            self._served,
            self._calls,
            telemetry,
            self._health,
            self._begin,
            self._watch.discover_soon,
        )

    def serve(self, agent: Agent, version: int) -> None:
        """Serve an agent's tools from now on.

        Args:
            agent: Whose tools.
            version: The version that the agent is registered as.

        Raises:
            WorkerError: This host was stopped.
        """
        if self._stopping.is_set():
            raise WorkerError("This worker host was stopped.", hint="Make a new AgentRuntime.")
        for tool in agent.tools:
            name = tool_task_name(agent.name, tool.name)
            known = self._served.get(name)
            if known is not None and known.tool is not tool:
                log.info("The tool %s was defined again; the newer definition is served.", name)
            self._served[name] = Served(agent.name, version, tool)
        self._poller.show_up()
        if self._served and self._polling is None:
            self._polling = _thread("poll", self._poller.forever)
            _thread("watch", self._watch.forever)

    def stop(self, timeout: float = 30.0) -> None:
        """Poll no more, let running calls finish, hand back what is not done after `timeout` seconds."""
        self._stopping.set()
        self._poller.stop()
        if self._polling is not None:  # what its last poll brings is handed back, too
            self._polling.join(min(timeout, JOIN))
        deadline = time.monotonic() + timeout
        while len(self._calls) and time.monotonic() < deadline:
            self._watch.end_overdue()
            time.sleep(0.02)
        for call in self._calls.all():
            self._outbox.give_up(call)
        self._leases.close()
        self._runner.stop()
        if self._health is not None:
            self._health.remove()
        self._telemetry.finish()

    def _begin(self, tasks: list[TaskRecord], served: Served) -> None:
        calls = [Call(task, served, self._progress_of(task), self._leases.beat) for task in tasks]
        try:
            # Hold every lease before any call starts: a tool that keeps the interpreter would stop us from holding
            # the rest.
            self._leases.hold([self._outbox.address(call.task) for call in calls])
        except RuntimeError as error:  # no thread is to be had, nor for the calls
            log.warning("The leases cannot be kept alive: %s", error)
        for call in calls:
            try:
                self._accept(call)
            except Exception:  # the server counts on us for the calls after this one, too
                log.exception("%s cannot be begun here and is handed back", call)
                self._calls.drop(call.task.task_id)
                self._outbox.hand_back(call, after=AGAIN)

    def _accept(self, call: Call) -> None:
        if self._stopping.is_set():
            self._outbox.hand_back(call)
            return
        self._watchdog.progressed(call.task.workflow_instance_id)
        twin = self._calls.twin_of(call)
        if twin is not None and self._goes_on(twin, call.task):
            return
        self._calls.add(call)
        self._poller.active()
        known = self._outbox.remembered(call)
        if known is not None:
            self._runner.report_again(call, known)
        else:
            self._runner.run(call)

    def _goes_on(self, running: Call, task: TaskRecord) -> bool:
        """Whether a call that the server hands out again is still at work here, and will report for this task too."""
        before = running.task.task_id
        if not running.continue_as(task):
            return False
        if before == task.task_id:
            return True
        self._leases.release(before)
        log.info("%s was given up by the server, but is still at work here.", running)
        self._calls.drop(before)
        self._calls.add(running)
        return True

    def _ended(self) -> None:
        self._poller.active()

    def _lost(self, task_id: str) -> None:
        call = self._calls.get(task_id)
        if call is not None:
            call.lost.set()

    def _progress_of(self, task: TaskRecord) -> Callable[[str], None]:
        def say(message: str) -> None:
            try:
                self._client.log_task(task.task_id, message)
            except ServerError as error:
                log.debug("The progress of %s was not stored: %s", task.reference_task_name, error)

        return say


def _thread(name: str, target: Any) -> threading.Thread:
    thread = threading.Thread(target=target, name=f"agentspan-{name}", daemon=True)
    thread.start()
    return thread
