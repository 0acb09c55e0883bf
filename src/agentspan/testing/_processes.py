"""Workers in processes of their own, so that a test can kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

READY = "Serving "
"""What the worker command says once it polls."""


class WorkerProcess:
    """`agentspan worker start` as a child process; killed at the end of a `with` block.

    Example:
        ```python
        with WorkerProcess("my_agents:agent", runtime.settings.server_url) as worker:
            handle = runtime.start(agent, "Go.", serve=False)
            wait_until(lambda: handle.get_status().step >= 3, "step 3")
            worker.kill()
        with WorkerProcess("my_agents:agent", runtime.settings.server_url):
            assert handle.result(timeout=60).output == "done"
        ```

    Args:
        target: What to serve, as `module:agent` or `file.py:agent`.
        server_url: The Conductor server.
        environment: Variables on top of this process's own.
        cwd: Its working directory, which is also where modules are looked for.
        options: Options of `agentspan worker start`, such as `--metrics-port`.
    """

    def __init__(
        self,
        target: str,
        server_url: str,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        # -P: the working directory is not looked in before the standard library.
        command = [sys.executable, "-P", "-m", "agentspan", "--server", server_url, "worker", "start"]
        self._command = [*command, *options, target]
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._cwd = cwd
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        weakref.finalize(self, self._log.close)
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process id, once started."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        self._log.seek(0)
        return self._log.read()

    def start(self, timeout: float = 60.0) -> Self:
        """Start it and return once it serves.

        Raises:
            AssertionError: It ended, or was not ready after `timeout` seconds; with what it wrote.
        """
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(self._ready, "the worker to be ready", timeout)
        except AssertionError as error:
            self._end(error)
            raise
        return self

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._running().wait(timeout=30)

    def terminate(self, timeout: float = 60.0) -> int:
        """SIGTERM, and wait until it has drained; its exit code."""
        self.signal(signal.SIGTERM)
        return self._running().wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        """Send it any signal, such as SIGSTOP."""
        self._running().send_signal(number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            error.add_note(f"The worker process wrote:\n{self.log[-4000:]}")
        if self._running().poll() is None:
            self.kill()

    def _ready(self) -> bool:
        if self._running().poll() is not None:
            raise AssertionError("The worker process ended by itself.")
        return READY in self.log

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("The worker process was not started.")
        return self._process


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60.0, every: float = 0.02) -> None:
    """Call `condition` until it is true.

    Raises:
        AssertionError: It was not within `timeout` seconds; the message names `what`.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(every)
