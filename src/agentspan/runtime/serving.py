"""The worker host of a runtime: made when it is needed, stopped before the interpreter ends, not shared with a fork."""

from __future__ import annotations

import atexit
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from agentspan import forks
from agentspan.engine.client import Conductor
from agentspan.worker import WorkerHost
from agentspan.worker.tokens import Listeners

log: logging.Logger = logging.getLogger("agentspan")

DRAIN = 30.0
"""Seconds that running tool calls get to finish when a process ends."""

WAKES = 0.5
"""Seconds between two looks of a serving process for a signal."""


class Serving:
    """Serves calls in the background, from when they are first served until it is stopped.

    Args:
        client: The server.
        listeners: Who wants to know what models say while they say it.
        concurrency: Calls that may run at once.
    """

    def __init__(self, client: Conductor, listeners: Listeners, concurrency: int) -> None:
        self._client = client
        self._listeners = listeners
        self._concurrency = concurrency
        self._host: WorkerHost | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        forks.tell(self)

    def host(self) -> WorkerHost:
        """The worker host."""
        with self._lock:
            if self._host is None:
                self._host = WorkerHost(self._client, self._listeners, concurrency=self._concurrency)
                _serving.add(self)
                _drain_before_the_end()
            return self._host

    def ends(self) -> threading.Event:
        """Is set by the next `stop`."""
        return self._stopped

    def stop(self, timeout: float) -> None:
        """Stop serving: running calls get `timeout` seconds to finish, the rest is handed back."""
        with self._lock:
            host, self._host = self._host, None
            stopped, self._stopped = self._stopped, threading.Event()
        try:
            if host is not None:
                _serving.discard(self)
                host.stop(timeout)
        finally:
            stopped.set()

    def after_fork(self) -> None:
        """Serve nothing yet: the worker host is the parent's."""
        host, self._host = self._host, None
        self._lock, self._stopped = threading.Lock(), threading.Event()
        _serving.discard(self)
        if host is not None:
            host.after_fork()


def wait_for(stopped: threading.Event) -> None:
    """Wait until SIGTERM, Ctrl-C or `stopped`."""
    with _until_signalled() as signalled:
        # The kernel may give the signal to another thread; Python handles it once this one wakes up.
        while not signalled.wait(WAKES) and not stopped.is_set():
            pass


_serving: set[Serving] = set()
"""Those whose worker hosts must be stopped before the interpreter ends."""


@cache
def _drain_before_the_end() -> None:
    """Have worker hosts stopped while threads and executors can still be used: tools that run may need them.

    `atexit` is too late for that. The standard library's executors end at a place of their own before it, in the
    reverse order of their registration; it has no public name (CPython 3.9 to 3.14).
    """
    import_module("concurrent.futures.thread")  # which must have registered before us
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(_drain)


def _drain() -> None:
    for serving in list(_serving):
        try:
            serving.stop(DRAIN)
        except KeyboardInterrupt:  # its calls were handed back; the program was about to end anyway
            log.debug("Interrupted while draining.")


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the handlers of before are put back."""
    signalled = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield signalled
        return
    before = {number: signal.signal(number, lambda *_: signalled.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signalled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
