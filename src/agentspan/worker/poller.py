"""Asking the queues for calls: which ones, how often, and what came too late to be taken."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import ServerError
from agentspan.telemetry.calls import CallTelemetry
from agentspan.worker.calls import Calls
from agentspan.worker.health import HealthFile
from agentspan.worker.roster import Roster

log: logging.Logger = logging.getLogger("agentspan.worker")

LATE = 2.0
"""Seconds after which the answer to a poll may be too old: its calls may have been given to others."""

QUICK, IDLE = 0.008, 0.08
"""Seconds between polls right after work, and when nothing has happened for a while."""

UNEXPECTED = 0.03
"""Seconds between polls after work where every call follows a report of this host: it polls for those at once."""

EXPECTED = 1.0
"""Seconds for which a call that follows is looked for quickly: the engine may begin a segment, or join calls, first."""

FAIR = 0.05
"""Seconds after which all queues are looked at, however many calls are expected."""

SHOW_UP = 5.0
"""Seconds between polls of every queue: what others read as "somebody serves this tool"."""


@dataclass
class Full:
    """A queue from which nothing is taken, as all places are; times by `time.monotonic`."""

    since: float
    shown: float = 0.0


class Poller:
    """Polls the queues of the served tools until it is stopped.

    Args:
        client: The server.
        worker_id: What the server calls this host.
        roster: The tools.
        calls: What runs here.
        telemetry: Is told of polls.
        health: Where each round is written down, if anywhere.
        begin: Called with a queue and the tasks that it gave.
        on_trouble: Called when the server does not answer.
    """

    def __init__(
        self,
        client: Conductor,
        worker_id: str,
        roster: Roster,
        calls: Calls,
        telemetry: CallTelemetry,
        health: HealthFile | None,
        begin: Callable[[str, list[TaskRecord]], None],
        on_trouble: Callable[[], None],
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._roster = roster
        self._calls = calls
        self._telemetry = telemetry
        self._health = health
        self._begin = begin
        self._on_trouble = on_trouble
        self._stopping = threading.Event()
        self._changed = threading.Event()
        self._active = time.monotonic()
        self._shown = 0.0
        self._known: frozenset[str] = frozenset()
        self._full: dict[str, Full] = {}
        self._due: set[str] = set()
        self._looked = 0.0
        self._expected: dict[str, float] = {}

    def show_up(self) -> None:
        """Poll every queue soon, where there are new ones."""
        queues = frozenset(self._roster.queues())
        if queues != self._known:
            self._known, self._shown = queues, 0.0
        self._changed.set()

    def active(self) -> None:
        """Poll quickly for a while: a call has begun or ended."""
        self._active = time.monotonic()
        if self._full:  # there was no room, and now there may be
            self._changed.set()

    def expect(self, queues: Iterable[str]) -> None:
        """Poll these queues at once, and quickly for a while: a call has just been put into them, or soon will be."""
        known = self._roster.queues()
        for queue in queues:
            if queue in known:
                self._due.add(queue)
                self._expected[queue] = time.monotonic() + EXPECTED
                self._changed.set()

    def expect_soon(self, queues: Iterable[str]) -> None:
        """Look quickly for a while whether these queues hold something: calls may be put into some of them."""
        until = time.monotonic() + EXPECTED
        self._expected |= dict.fromkeys(set(queues) & set(self._roster.queues()), until)
        self._changed.set()

    def stop(self) -> None:
        """Poll no more."""
        self._stopping.set()
        self._changed.set()

    def forever(self) -> None:
        """Poll until `stop`."""
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
                self._on_trouble()
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
        now = time.monotonic()
        self._expected = {queue: until for queue, until in self._expected.items() if until > now}
        if self._expected:
            return QUICK
        quiet = now - self._active
        return min(IDLE, max(UNEXPECTED if self._roster.all_expected else QUICK, quiet / 10))

    def _poll_once(self) -> bool:
        """Take what there is; whether a queue may hold more."""
        more = False
        served = self._roster.served()
        of_tools = sum(not each.is_model for each in served.values())
        for name in self._worth_a_poll(list(served)):
            room = self._calls.room_for_models() if served[name].is_model else self._calls.room(name, of_tools)
            if room <= 0:
                self._is_full(name)
                continue
            self._full.pop(name, None)
            self._telemetry.polled(served[name])
            asked = time.monotonic()
            tasks = self._client.poll(name, self._worker_id, room)
            late = time.monotonic() - asked > LATE
            if tasks:
                self._expected.pop(name, None)
            self._begin(name, [task for task in tasks if self._is_ours(task)] if late else tasks)
            more = more or len(tasks) == room
        return more

    def _is_full(self, name: str) -> None:
        """Let others see that this worker serves a queue, though it takes nothing from it now."""
        now = time.monotonic()
        full = self._full.setdefault(name, Full(now))
        if now - full.shown > SHOW_UP:
            full.shown = now
            self._client.show_busy(name, self._worker_id, now - full.since)

    def _is_ours(self, task: TaskRecord) -> bool:
        """Whether a call that came late is ours still: a tool may have held the interpreter meanwhile."""
        try:
            now = self._client.task(task.task_id)
        except ServerError as error:
            log.info("%s came late and is left to others: %s", task.reference_task_name, error)
            return False
        return now.status == "IN_PROGRESS" and now.poll_count == task.poll_count

    def _worth_a_poll(self, names: list[str]) -> list[str]:
        """Those that calls are expected in; else all queues now and then, and those that hold something."""
        now = time.monotonic()
        if self._due:
            due, self._due = self._due, set()
            if now - self._looked < FAIR:
                return [name for name in names if name in due]
        self._looked = now
        if len(names) <= 1 or now - self._shown > SHOW_UP:
            self._shown = now
            return names
        sizes = self._client.queue_sizes(names)
        return [name for name in names if sizes.get(name, 0)]
