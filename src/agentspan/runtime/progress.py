"""What a program in a terminal waits for, on one line of stderr."""

from __future__ import annotations

import shutil
import sys
import threading
from types import TracebackType
from typing import Any, Self

from agentspan.errors import ServerError
from agentspan.reading.result import AgentStatus
from agentspan.runtime.handle import AgentHandle

PATIENCE = 1.0
"""Seconds before the line appears, and between looks at the run."""

_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Shows what a run is doing while the block lasts, and leaves nothing behind.

    Nothing is shown, and nothing read, where stderr is no terminal.
    """

    def __init__(self, handle: AgentHandle[Any]) -> None:
        self._handle = handle
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._show, name="agentspan-progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _show(self) -> None:
        shown = False
        while not self._over.wait(PATIENCE):
            try:
                status = self._handle.get_status()
            except ServerError:  # who waits for the result is told
                continue
            if not status.is_complete and not self._over.is_set():
                shown = True
                _write(_CLEAR + line_of(status)[: shutil.get_terminal_size().columns - 1])
        if shown:
            _write(_CLEAR)


def line_of(status: AgentStatus) -> str:
    """A status in a few words."""
    waits = [f"no worker serves {missing.tool}" for missing in status.missing_workers]
    waits += [f"the worker of {busy.tool} is busy" for busy in status.busy_workers]
    doing = ", ".join(waits) or status.current_task or ""
    return f"{status.agent}  {status.status}  step {status.step} / {status.max_steps}  {int(status.elapsed)}s  {doing}"


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
