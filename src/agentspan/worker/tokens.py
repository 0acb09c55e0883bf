"""Text while the model says it: at once for who listens in this process, by the call's log for who reads elsewhere."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agentspan import forks
from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import ServerError
from agentspan.stored.tokens import Piece, readers_queue

log: logging.Logger = logging.getLogger("agentspan.worker")

EVERY = 0.2
"""Seconds between two lines of one answer."""

MOST = 40
"""Lines a second of all answers of a process: with more answers at once, each has fewer."""

READING = 6.0
"""Seconds for which a reader's last sign counts; it gives one every two."""

KNOWN = 1.0
"""Seconds for which it is known whether there are readers."""

Hear = Callable[[str, Piece], None]
"""Is told the id of a call's task, and a piece of its answer."""


class Listeners:
    """Who wants to know what models say while they say it. Without one, answers come whole, which costs less.

    And who waits in this process for the end of a run.

    Args:
        client: The server.
    """

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._here: dict[str, list[Hear]] = {}
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        self._starting = 0
        self._elsewhere: dict[str, tuple[float, bool]] = {}
        self._lock = threading.Lock()
        forks.tell(self)

    def after_fork(self) -> None:
        """Those who listen are the parent's."""
        self._here, self._waiting, self._starting, self._lock = {}, {}, 0, threading.Lock()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While a run is started that will be listened to: its first call may begin before its id is known."""
        with self._lock:
            self._starting += 1
        try:
            yield
        finally:
            with self._lock:
                self._starting -= 1

    def add(self, execution_id: str, hear: Hear) -> None:
        """Tell of a run's answers from now on."""
        with self._lock:
            self._here.setdefault(execution_id, []).append(hear)

    def remove(self, execution_id: str, hear: Hear) -> None:
        """Tell no more."""
        with self._lock:
            left = [each for each in self._here.pop(execution_id, []) if each is not hear]
            if left:
                self._here[execution_id] = left

    def are_here(self, execution_id: str) -> bool:
        """Whether somebody in this process listens to a run."""
        with self._lock:
            return bool(self._starting) or execution_id in self._here

    @contextmanager
    def waiting(self, execution_id: str, wake: Callable[[], object]) -> Iterator[None]:
        """While somebody waits for a run: `wake` is called when its last call may have been made here."""
        with self._lock:
            self._waiting.setdefault(execution_id, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                left = [each for each in self._waiting.pop(execution_id, []) if each is not wake]
                if left:
                    self._waiting[execution_id] = left

    @property
    def wait(self) -> bool:
        """Whether anybody in this process waits for a run."""
        return bool(self._waiting)

    def may_be_over(self, execution_id: str) -> None:
        """Wake who waits for a run."""
        with self._lock:
            waiting = list(self._waiting.get(execution_id, ()))
        for wake in waiting:
            wake()

    def are_elsewhere(self, model_task: str) -> bool:
        """Whether another process reads the tokens of an agent's runs."""
        asked, found = self._elsewhere.get(model_task, (-KNOWN, False))
        if time.monotonic() - asked < KNOWN:
            return found
        try:
            signs = [poll.last_poll_time / 1000 for poll in self._client.polls(readers_queue(model_task))]
        except ServerError as error:
            log.debug("Whether tokens are read is not known: %s", error)
            return found
        found = bool(signs) and self._client.now() - max(signs) < READING
        self._elsewhere[model_task] = time.monotonic(), found
        return found

    def tell(self, execution_id: str, task_id: str, piece: Piece) -> None:
        """Tell who listens here."""
        with self._lock:
            here = list(self._here.get(execution_id, ()))
        for hear in here:
            hear(task_id, piece)

    def write(self, task_id: str, piece: Piece) -> bool:
        """Store a piece for who reads elsewhere; whether the server took it."""
        try:
            self._client.log_task(task_id, piece.line)
        except ServerError as error:
            log.debug("What a model says was not stored: %s", error)
            return False
        return True


_told: set[Telling] = set()
"""Answers of this process that come in pieces."""


@dataclass(eq=False)
class Telling:
    """An answer that comes in pieces, told and stored as it comes; used on one event loop.

    Attributes:
        task: The call.
        execution_id: Its run.
        attempt: Grows with each try of it, and with each model that is asked in one.
        listeners: Whom to tell.
        held: Whether nothing of it is told yet.
    """

    task: TaskRecord
    execution_id: str
    attempt: int
    listeners: Listeners
    text: str = ""
    stored: int = 0
    storing: asyncio.Task[None] | None = None
    held: bool = False

    def add(self, text: str) -> None:
        """The next piece of the text."""
        if not self.held:
            self._tell(Piece(self.attempt, len(self.text), text))
        self.text += text

    def release(self) -> None:
        """Tell what was held back, and what comes after it."""
        self.held = False
        if self.text:
            self._tell(Piece(self.attempt, 0, self.text))

    def again(self) -> Callable[[str], None]:
        """Another model is asked: what was said is void. What to call with the next pieces."""
        if self.text:
            self.attempt, self.text, self.stored = self.attempt + 1, "", 0
        return self.add

    def end(self) -> None:
        """There is no more; what is not stored yet need not be."""
        _told.discard(self)
        if self.storing is not None:
            self.storing.cancel()

    def _tell(self, piece: Piece) -> None:
        if self.storing is None:
            _told.add(self)
            self.storing = asyncio.ensure_future(self._store())
        self.listeners.tell(self.execution_id, self.task.task_id, piece)

    async def _store(self) -> None:
        while True:
            await asyncio.sleep(max(EVERY, len(_told) / MOST))
            piece = Piece(self.attempt, self.stored, self.text[self.stored :])
            taken = await asyncio.to_thread(self._stored, piece) if piece.text else False
            if taken and piece.attempt == self.attempt:
                self.stored += len(piece.text)

    def _stored(self, piece: Piece) -> bool:
        return self.listeners.are_elsewhere(self.task.task_def_name) and self.listeners.write(self.task.task_id, piece)
