"""The health file: what a worker host writes down so that a probe in its container can judge it."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

log: logging.Logger = logging.getLogger("agentspan.worker")

WRITTEN_EVERY = 1.0
"""Seconds between two writes at least."""


@dataclass(frozen=True)
class Health:
    """A worker host, as it last wrote.

    Attributes:
        pid: Its process.
        turned: When it last went round its queues, in seconds since 1970, whether the server answered or not.
        answered: When the server last answered it; 0 if never.
    """

    pid: int
    turned: float
    answered: float


class HealthFile:
    """Written by a worker host each time it has gone round its queues."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = 0.0
        self._answered = 0.0
        self._failed = False

    def turned(self, *, answered: bool) -> None:
        """Write that the host has gone round, once a second at most."""
        now = time.time()
        if answered:
            self._answered = now
        if now - self._written >= WRITTEN_EVERY:
            self._written = now
            self._write(Health(os.getpid(), now, self._answered))

    def remove(self) -> None:
        """The host serves no more. A file that another process has written since, the parent of a fork say, stays."""
        found = self.read()
        if found is None or found.pid == os.getpid():
            self.path.unlink(missing_ok=True)

    def read(self) -> Health | None:
        """What was last written; None when there is nothing."""
        try:
            return Health(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, health: Health) -> None:
        beside = self.path.with_name(f"{self.path.name}.{health.pid}")
        try:
            beside.write_text(json.dumps(asdict(health)), encoding="utf-8")
            beside.replace(self.path)
        except OSError as error:  # calls go on; the probe will tell
            if not self._failed:
                log.warning("The health file cannot be written: %s", error)
            self._failed = True
