"""The server's process, from its start until it answers, and its end."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from agentspan.errors import LocalServerError
from agentspan.server import _health
from agentspan.server._engine import Engine
from agentspan.server._java import Java
from agentspan.server._launch import LOG, launch, settings_file
from agentspan.server._record import Record

_POLL = 0.1
_KILL_SECONDS = 10.0
_LEAVING = 5.0

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this process started; kept because they may outlive every `LocalServer`, and must be reaped."""


def boot(
    java: Java,
    engine: Engine,
    data_dir: Path,
    *,
    port: int,
    settings: Mapping[str, str],
    providers: tuple[str, ...],
    flags: Sequence[str],
    seconds: float,
) -> Record:
    """Start a server and return once it says that it is well.

    Its record is written before the waiting begins, so that it can be found and stopped even if this process
    dies.

    Raises:
        LocalServerError: It ended, or was not well in time; nothing is left running.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with settings_file(data_dir, {"server.port": str(port), **settings}):
        log = data_dir / LOG
        before = log.stat().st_size if log.exists() else 0
        child = launch(java, engine.jar, data_dir, flags=flags)
        _children[child.pid] = child
        record = Record.of(child.pid, port=port, version=engine.version, providers=providers)
        record.write(data_dir)
        try:
            await_health(record, log, seconds, before)
        except BaseException:
            end(record, 0)
            raise
    return record


def await_health(record: Record, log: Path, seconds: float, before: int = 0) -> None:
    """Wait until the server says that it is well.

    Args:
        record: The server.
        log: What it writes.
        seconds: How long to wait.
        before: Bytes of the log that are of earlier starts.

    Raises:
        LocalServerError: It ended, or the time was up.
    """
    deadline = time.monotonic() + seconds
    while not _health.read_health(record.url):
        if record.process() is None:
            raise _ended(log, before)
        if time.monotonic() > deadline:
            raise _failed(f"the server was not well after {seconds:g} s", log)
        time.sleep(_POLL)


def end(record: Record, seconds: float) -> bool:
    """End the recorded server, politely at first; return whether it was running.

    Args:
        record: The server. A process that merely got its number since then is left alone.
        seconds: How long it may take over what it is doing; 0 kills it at once.

    Raises:
        LocalServerError: It belongs to somebody else, or does not end.
    """
    process = record.process()
    if process is None:
        return False
    try:
        _end(process, seconds)
    except psutil.AccessDenied as error:
        raise LocalServerError(f"the server, process {record.pid}, belongs to another user") from error
    _children.pop(record.pid, None)
    return True


_PORTS = range(20_000, 32_768)
"""Below the ports of outgoing connections (from 32768 on Linux, from 49152 elsewhere): while a server is away, a client
that looks for it may be given its port, and so keep it from coming back."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    Raises:
        LocalServerError: There is none.
    """
    for port in random.sample(_PORTS, 200):
        if port_is_free(port):
            return port
    raise LocalServerError("no free port was found on 127.0.0.1", hint="choose one with --port")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port of 127.0.0.1."""
    with socket.socket() as probe:
        if os.name == "posix":  # as servers do, or a port just left would seem taken for a minute
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def becomes_free(port: int, seconds: float = _LEAVING) -> bool:
    """Whether the port is free, or will be in a moment: a killed process may be gone before its sockets are."""
    deadline = time.monotonic() + seconds
    while not port_is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of the log, oldest first."""
    if not log.exists():
        return []
    with log.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def _ended(log: Path, before: int) -> LocalServerError:
    what = "the server ended while it was starting"
    with log.open("rb") as file:
        file.seek(before if log.stat().st_size >= before else 0)  # the log may have been begun anew
        cause = _cause(file.read().decode(errors="replace").splitlines())
    if cause is None:
        return _failed(what, log)
    return LocalServerError(f"{what}: {cause}", hint=f"{_way_out(cause, log.parent)}the whole log is {log}")


def _way_out(cause: str, data_dir: Path) -> str:
    """What to do about a database that the server cannot use; nothing for other causes."""
    database = data_dir / "conductor.db"
    if "[SQLITE_NOTADB]" in cause or "[SQLITE_CORRUPT]" in cause:
        return (
            f"{database} is damaged: put a copy of it back, or move it away, with its -wal and -shm, to begin without "
            "its runs; "
        )
    if "[SQLITE_CANTOPEN]" in cause or "[SQLITE_READONLY" in cause:
        return f"{database} cannot be opened: it must be a file that you may write, in a folder that you may write; "
    if "[SQLITE_FULL]" in cause:
        return f"the disk that {database} is on is full: free some space; "
    return ""


def _cause(lines: list[str]) -> str | None:
    """The innermost cause in a log that ends with an error of Java; its frames say nothing to who starts a server."""
    causes = [line.strip() for line in lines if line.lstrip().startswith("Caused by: ")]
    return causes[-1].removeprefix("Caused by: ") if causes else None


def _end(process: psutil.Process, seconds: float) -> None:
    if seconds > 0:
        process.terminate()
        if _has_ended(process, seconds):
            return
    process.kill()
    if not _has_ended(process, _KILL_SECONDS):
        raise LocalServerError(f"the server, process {process.pid}, does not end even when killed")


def _has_ended(process: psutil.Process, seconds: float) -> bool:
    try:
        child = _children.get(process.pid)
        child.wait(seconds) if child else process.wait(seconds)
    except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
        return False
    return True


def _failed(what: str, log: Path) -> LocalServerError:
    said = "\n".join(last_lines(log, 5)) or "nothing"
    return LocalServerError(f"{what}; the end of its log: {said}", hint=f"the whole log is {log}")
