"""What is known about a started server, kept in its data folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil

_FILE = "server.json"

_CLOCK_SLACK = 2.0
"""Seconds by which a process' start time may seem to move, e.g. after the clock was set."""


@dataclass(frozen=True)
class ServerState:
    """A running server.

    Attributes:
        url: Its address, e.g. `http://127.0.0.1:6767`; the UI is there, REST below `/api`.
        pid: Its process.
        port: Where it listens, on 127.0.0.1 only.
        version: Conductor's version.
        started: When the process began, in seconds since the epoch.
        providers: The model providers it was given a key for.
        log: The file it writes to.
        data_dir: The folder with its database.
        healthy: Whether it says that it is well.
    """

    url: str
    pid: int
    port: int
    version: str
    started: float
    providers: tuple[str, ...]
    log: Path
    data_dir: Path
    healthy: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the state as JSON can carry it."""
        return asdict(self) | {
            "providers": list(self.providers),
            "log": str(self.log),
            "data_dir": str(self.data_dir),
        }


@dataclass(frozen=True)
class Record:
    """The part of a server's state that outlives the process which started it, which may be of another release."""

    pid: int
    started: float
    port: int
    version: str = "of another release"
    providers: tuple[str, ...] = ()

    @classmethod
    def of(cls, pid: int, *, port: int, version: str, providers: tuple[str, ...]) -> Record:
        """Describe the process that was just started."""
        return cls(pid, psutil.Process(pid).create_time(), port, version, providers)

    @classmethod
    def read(cls, data_dir: Path) -> Record | None:
        """Return the record in the folder, or None when there is none that can be understood."""
        try:
            stored = json.loads((data_dir / _FILE).read_text(encoding="utf-8"))
            known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
            found = cls(**{**known, "providers": tuple(known.get("providers", ()))})
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None
        numbers = all(
            isinstance(number, int | float) and number > 0 for number in (found.pid, found.port, found.started)
        )
        return found if numbers else None

    def write(self, data_dir: Path) -> None:
        """Put the record into the folder, whole or not at all."""
        temporary = data_dir / f"{_FILE}.tmp"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, data_dir / _FILE)

    @staticmethod
    def remove(data_dir: Path) -> None:
        """Forget the server of the folder."""
        (data_dir / _FILE).unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def process(self) -> psutil.Process | None:
        """Return the process, or None when it is gone, even if its number now belongs to another one."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_SLACK
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None
