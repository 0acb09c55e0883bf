"""What a worker host looks after beside its polls: time limits, leases, and runs that stand still."""

from __future__ import annotations

import logging
import threading
import time

from agentspan.control.watchdog import Watchdog
from agentspan.engine.client import Conductor
from agentspan.errors import NotFound, ServerError
from agentspan.stored.names import part_name, segment_name
from agentspan.telemetry.calls import CallTelemetry
from agentspan.worker.calls import Calls
from agentspan.worker.leases import Leases
from agentspan.worker.roster import Roster
from agentspan.worker.runner import Runner

log: logging.Logger = logging.getLogger("agentspan.worker")

ROUND = 0.25
"""Seconds between two rounds."""

DISCOVER = 3.0
"""Seconds between searches for runs of the served agents that may stand still."""

SEARCHED = 32
"""Agents in one search: their names stand in its URL."""


class Watch:
    """Goes round until the host stops."""

    def __init__(
        self,
        client: Conductor,
        roster: Roster,
        calls: Calls,
        runner: Runner,
        leases: Leases,
        telemetry: CallTelemetry,
        watchdog: Watchdog,
        stopping: threading.Event,
    ) -> None:
        self._client = client
        self._roster = roster
        self._calls = calls
        self._runner = runner
        self._leases = leases
        self._telemetry = telemetry
        self._watchdog = watchdog
        self._stopping = stopping
        self._discovered = 0.0

    def forever(self) -> None:
        """Go round until the host stops."""
        while not self._stopping.wait(ROUND):
            try:
                self.look_at_calls()
                self._leases.refresh()
                self._discover()
                self._watchdog.round()
                self._telemetry.round()
            except ServerError as error:
                log.debug("The watchdog could not look: %s", error)
                self._watchdog.hurry()
            except Exception:  # a watch that ends unseen is worse than one that errs
                log.exception("The watchdog met a defect")

    def look_at_calls(self) -> None:
        """End the calls that have met their tool's time limit, and those that nothing will report any more."""
        for call in self._calls.all():
            self._runner.look(call)
        self._runner.look_at_loop()

    def discover_soon(self) -> None:
        """Search for runs in the next round: the server was away."""
        self._discovered = 0.0

    def _discover(self) -> None:
        """Watch what runs of our agents there are: a run whose worker has died is known to nobody else."""
        if time.monotonic() - self._discovered < DISCOVER:
            return
        self._forget_ended()
        agents = self._roster.agents()
        for first in range(0, len(agents), SEARCHED):
            some = agents[first : first + SEARCHED]
            names = ",".join(name for agent in some for name in (agent, segment_name(agent), part_name(agent)))
            for run in self._client.search(f"workflowType IN ({names}) AND status IN (RUNNING)", size=100):
                self._watchdog.watch(run.workflow_id)
        self._discovered = time.monotonic()

    def _forget_ended(self) -> None:
        """Let go of the tools of runs that are over."""
        for execution_id in self._roster.oldest():
            try:
                self._roster.is_now(execution_id, self._client.status(execution_id))
            except NotFound:
                self._roster.is_now(execution_id, None)
