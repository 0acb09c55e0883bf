"""The leases of a worker host's calls, kept alive by a process of their own.

See docs/decisions/0012-leases.md. `_lease_process` says what the two processes tell each other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentspan.engine.client import Conductor

log: logging.Logger = logging.getLogger("agentspan.worker")

Json = dict[str, Any]

FIRST = 1.2
"""Seconds a call lasts before its first heartbeat: most are over by then, and cost no request."""

CONFIRMED = 15.0
"""Seconds within which a heartbeat on its way ends; a lease process that takes longer is replaced."""

SHORT_LIFE = 1.0
"""Seconds; a lease process that ended sooner is not started again at once."""

_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "PYTHONHOME"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "OPENSSL_MODULES"),
)
"""The variables that Python and TLS need; what else is in the worker's environment may be a tool's secret."""

_PROGRAM = Path(__file__).with_name("_lease_process.py")


@dataclass
class Held:
    """A call whose lease is kept alive."""

    update: Json
    quiet_until: float = field(default_factory=lambda: time.monotonic() + FIRST)
    confirmed: threading.Event = field(default_factory=threading.Event)

    @property
    def task_id(self) -> str:
        """The task."""
        return str(self.update["taskId"])

    @property
    def order(self) -> Json:
        """What tells the lease process to hold it: however late that reads it, it knows when a heartbeat is due."""
        return {"hold": self.task_id, "update": self.update, "at": self.quiet_until}


class Leases:
    """Keeps leases alive from `hold` to `release`, also while a tool holds this process's interpreter.

    The lease process starts before there is a call, and ends with this one, however that ends.

    Args:
        client: The server.
        on_lost: Called with the id of a task that the server has ended.
    """

    def __init__(self, client: Conductor, on_lost: Callable[[str], None]) -> None:
        self._client = client
        self._on_lost = on_lost
        self._held: dict[str, Held] = {}
        self._settling: dict[str, Held] = {}
        self._headers: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor: threading.Thread | None = None
        self._started = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the lease process: on a busy machine one that starts with the first call is up when its lease is over.

        Raises:
            RuntimeError: No thread is to be had.
        """
        with self._lock:
            if self._supervisor is None and not self._closed.is_set():
                supervisor = threading.Thread(target=self._supervise, name="agentspan-leases", daemon=True)
                supervisor.start()
                self._supervisor = supervisor

    def hold(self, updates: Sequence[Json]) -> None:
        """Keep these tasks alive: from `FIRST` seconds on, until they are released.

        Args:
            updates: How an update of each is addressed: `taskId`, `workflowInstanceId`, `workerId`.

        Raises:
            RuntimeError: No thread is to be had.
        """
        self.start()
        with self._lock:
            new = [Held(update) for update in updates if update["taskId"] not in self._held]
            self._held |= {held.task_id: held for held in new}
            self._send(*(held.order for held in new))
        if new:
            self._started.wait()

    def beat(self, task_id: str) -> None:
        """Send a heartbeat now."""
        with self._lock:
            held = self._held.get(task_id)
            if held is not None:
                held.quiet_until = 0.0
                self._send({"beat": task_id})

    def release(self, task_id: str) -> None:
        """Keep it alive no more; returns when no heartbeat of it is on its way.

        One that overtook a report would write the task back as running.
        """
        with self._lock:
            held = self._held.pop(task_id, None)
            if held is None:
                return
            self._send({"release": task_id})
            # What was written before a beat is read before it: a call that is released in time has had none.
            if time.monotonic() < held.quiet_until or self._process is None:
                return
            process = self._process
            self._settling[task_id] = held
            self._send({"confirm": task_id})
        if not held.confirmed.wait(CONFIRMED):
            process.kill()
        with self._lock:
            self._settling.pop(task_id, None)

    def refresh(self) -> None:
        """Tell the lease process when there is another token."""
        if self._process is None:
            return
        headers = self._client.headers()
        with self._lock:
            if headers != self._headers:
                self._headers = headers
                self._send({"headers": headers})

    def close(self) -> None:
        """End the lease process, and with it every lease."""
        with self._lock:
            self._closed.set()
            self._started.set()
            self._held.clear()
            if self._process is not None:
                _close(self._process)
            supervisor = self._supervisor
        if supervisor is not None:
            supervisor.join(CONFIRMED)

    def after_fork(self) -> None:
        """Say nothing to the lease process any more: it is the parent's."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is None:
            return
        # What the parent was about to write must not be written once more, and a child must not keep its pipe open.
        for pipe, mode in ((process.stdin, os.O_WRONLY), (process.stdout, os.O_RDONLY)):
            if pipe is not None and not pipe.closed:
                nothing = os.open(os.devnull, mode)
                os.dup2(nothing, pipe.fileno())
                os.close(nothing)
        process.returncode = 0  # it is no child of this process, which may neither wait for it nor warn of it

    # ---- the lease process ----------------------------------------------------------------------------

    def _supervise(self) -> None:
        """Start it, listen to it, and start it again when it ends, until all leases end."""
        _warn_of_proxies(self._client)
        while not self._closed.is_set():
            started = time.monotonic()
            try:
                self._headers = self._client.headers()
                # By its path and without site-packages: it needs nothing of them, and starts in half the time.
                process = subprocess.Popen(
                    [sys.executable, "-P", "-S", str(_PROGRAM)],
                    env=_environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            except OSError as error:
                log.warning("The lease process cannot be started; calls of more than 5 s may run twice: %s", error)
                self._started.set()
            else:
                self._begin(process)
                self._listen(process)
                self._end(process)
            if time.monotonic() - started < SHORT_LIFE:
                self._closed.wait(SHORT_LIFE)

    def _begin(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = process
            setup = {"nodes": _nodes(self._client), "ca_file": self._client.settings.ca_file, "parent": os.getpid()}
            self._send(setup, {"headers": self._headers}, *(held.order for held in self._held.values()))
            if self._closed.is_set():
                _close(process)
        self._started.set()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self._hear(json.loads(line))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = None
            _close(process)
            for held in self._settling.values():
                held.confirmed.set()
        code = process.wait()
        if not self._closed.is_set():
            log.warning("The lease process ended (%d) and is started again.", code)

    def _send(self, *orders: Json) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        text = b"".join(json.dumps(order).encode() + b"\n" for order in orders)
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:
            log.debug("The lease process has ended; the next one is told all: %s", error)

    def _hear(self, word: dict[str, str]) -> None:
        if "confirmed" in word:
            with self._lock:
                held = self._settling.get(word["confirmed"])
            if held is not None:
                held.confirmed.set()
        elif "lost" in word:
            self._on_lost(word["lost"])
        else:
            log.debug("No heartbeat: %s", word["trouble"])


def _nodes(client: Conductor) -> list[Json]:
    """How the lease process reaches each node: as the client does."""
    return [
        {"url": url, "proxy": None if proxy is None else asdict(proxy)}
        for url, proxy in zip(client.settings.api_urls, client.proxies, strict=True)
    ]


def _warn_of_proxies(client: Conductor) -> None:
    for url, proxy in zip(client.settings.api_urls, client.proxies, strict=True):
        # The standard library speaks no SOCKS, and opens no tunnel over TLS.
        if proxy is not None and proxy.scheme != "http" and (proxy.scheme != "https" or url.startswith("https:")):
            log.warning(
                "Heartbeats cannot pass the %s proxy on the way to %s; calls of more than 5 s may run twice. "
                "Name an http proxy.",
                proxy.scheme,
                url,
            )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("LC_")}


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # what is left to write has no reader
            process.stdin.close()
