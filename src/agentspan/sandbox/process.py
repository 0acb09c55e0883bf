"""Running one command to its end: its limits, its environment, what it printed."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from agentspan.errors import ToolFailed
from agentspan.sandbox.limits import Container, ProcessLimits

LOOK = 0.2
"""Seconds between two looks whether somebody still waits for a command."""

ENDING = 30.0
"""Seconds until a command that is stopped is given up."""

_LAUNCHER = Path(__file__).with_name("_launch.py")
_SCRATCH, _WORK = "/scratch", "/work"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What is to be run.

    Attributes:
        words: The program and its arguments.
        script: Name and text of a file that is the last argument; it lies in the command's home.
        stdin: What it reads.
        folder: Where it is run; None for its home, which is empty before it and gone after it.
        environment: Its variables, beside PATH, HOME, TMPDIR and LANG.
        limits: What it may use.
        container: Where it runs; None for beside the worker.
        apart: Whether, beside the worker, it is kept from seeing into other processes and from ending them. Linux can,
            unless it is told not to.
    """

    words: tuple[str, ...]
    limits: ProcessLimits
    script: tuple[str, str] | None = None
    stdin: str = ""
    folder: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    container: Container | None = None
    apart: bool = False


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        exit_code: 128 and the signal's number when a signal ended it.
        stdout: What it printed, or the beginning and the end of it.
        stderr: The same.
        stopped: Why it was not left to finish.
    """

    exit_code: int
    stdout: str
    stderr: str
    stopped: str | None = None


def run(command: Command, cancelled: Callable[[], bool] = lambda: False) -> Ended:
    """Run a command.

    Args:
        command: What is run.
        cancelled: Whether nobody waits for it any more; then it is stopped.

    Raises:
        ToolFailed: It cannot be run here, and was not.
    """
    if os.name != "posix":
        raise ToolFailed("Commands are run by workers on Linux or macOS, and this one is on neither.")
    with tempfile.TemporaryDirectory(prefix="agentspan-", ignore_cleanup_errors=True) as home:
        if command.script is not None:
            Path(home, command.script[0]).write_text(command.script[1], encoding="utf-8")
        if command.folder is not None and not Path(command.folder).is_dir():
            raise ToolFailed(f"There is no folder {command.folder} where the worker runs.")
        return _finished(command, home, cancelled)


def _finished(command: Command, home: str, cancelled: Callable[[], bool]) -> Ended:
    trouble, trouble_of_launcher = os.pipe()
    lifeline_of_launcher, lifeline = os.pipe()
    try:
        order = _order(command, home) | {"trouble": trouble_of_launcher, "lifeline": lifeline_of_launcher}
        with _text(command.stdin) as stdin:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(order)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=home if command.container else command.folder or home,
                env=_environment(command, home),
                pass_fds=(trouble_of_launcher, lifeline_of_launcher),
                start_new_session=True,
            )
        os.close(trouble_of_launcher)
        trouble_of_launcher = -1
        stdout, stderr = (_Printed(stream, command.limits.output) for stream in (process.stdout, process.stderr))
        said, stopped = _followed(trouble, time.monotonic() + command.limits.time, cancelled)
        if stopped is not None:
            os.close(lifeline)
            lifeline = -1
            said += _followed(trouble, time.monotonic() + ENDING, lambda: False)[0]
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what the command has left behind
        code = process.wait()
    finally:
        for end in (trouble, trouble_of_launcher, lifeline_of_launcher, lifeline):
            if end >= 0:
                os.close(end)
    if said:
        raise ToolFailed(f"{command.words[0]} was not run: {said.decode(errors='replace')}.")
    why = f"stopped after {command.limits.time:g} s" if stopped == "time" else stopped
    return Ended(code if code >= 0 else 128 - code, stdout.text(), stderr.text(), why)


def _followed(trouble: int, until: float, cancelled: Callable[[], bool]) -> tuple[bytes, str | None]:
    """What the launcher says until its end; and why its end was not waited for."""
    said = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([trouble], [], [], min(LOOK, left))[0]:
            read = os.read(trouble, 4096)
            if not read:
                return said, None
            said += read
        elif cancelled():
            return said, "stopped, because nobody waits for it any more"
    return said, "time"


@contextmanager
def _text(text: str) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(text.encode(errors="replace"))
        file.seek(0)
        yield file


def _order(command: Command, home: str) -> dict[str, object]:
    """What the launcher does; no secret, for others on this machine can read arguments."""
    if command.container is not None:
        words, ending = _in_container(command, command.container, home)
        return {"command": words, "ending": ending, "limits": {}, "network": True, "apart": False}
    words = [_program(command.words[0]), *_arguments(command, home)]
    limits, network = _rlimits(command.limits), command.limits.network
    return {"command": words, "ending": [], "limits": limits, "network": network, "apart": command.apart}


def _arguments(command: Command, home: str) -> list[str]:
    script = [] if command.script is None else [f"{home}/{command.script[0]}"]
    return [*command.words[1:], *script]


def _environment(command: Command, home: str) -> dict[str, str]:
    if command.container is not None:  # who makes it has all, and the container what is named
        return {**os.environ, **command.environment}
    own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"}
    return {**own, **command.environment}


def _rlimits(limits: ProcessLimits) -> dict[str, int]:
    sizes = {"RLIMIT_AS": limits.memory, "RLIMIT_FSIZE": limits.file_size}
    return {"RLIMIT_CORE": 0, **{name: size << 20 for name, size in sizes.items() if size is not None}}


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolFailed(f"There is no program {name} where the worker runs.")
    return str(Path(found).absolute())


def _in_container(command: Command, container: Container, home: str) -> tuple[list[str], list[str]]:
    """What makes the container, and what ends it."""
    program, name, limits = _program(container.program), f"agentspan-{uuid.uuid4().hex}", command.limits
    words = [program, "run", "--rm", "--interactive", "--name", name]
    words += ["--network", "bridge" if limits.network else "none"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", str(container.processes)]
    words += ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{home}:{_SCRATCH}"]
    if command.folder is not None:
        words += ["--volume", f"{Path(command.folder).absolute()}:{_WORK}"]
    words += ["--workdir", _SCRATCH if command.folder is None else _WORK]
    words += ["--env", f"HOME={_SCRATCH}", "--env", f"TMPDIR={_SCRATCH}"]
    for variable in command.environment:
        words += ["--env", variable]  # its value comes from the environment of the program
    if limits.memory is not None:
        words += ["--memory", f"{limits.memory}m", "--memory-swap", f"{limits.memory}m"]
    if limits.file_size is not None:
        words += ["--ulimit", f"fsize={limits.file_size << 20}"]
    if container.cpus is not None:
        words += ["--cpus", str(container.cpus)]
    return [*words, container.image, command.words[0], *_arguments(command, _SCRATCH)], [program, "kill", name]


class _Printed:
    """What a command prints, read as it comes, so that it never waits: the beginning and the end are kept."""

    def __init__(self, stream: IO[bytes] | None, most: int) -> None:
        self._stream = cast("IO[bytes]", stream)  # a pipe, as was asked for
        self._half = most // 2
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0
        self._reader = threading.Thread(target=self._read, name="agentspan-output", daemon=True)
        self._reader.start()

    def text(self) -> str:
        """It, once the command has ended."""
        self._reader.join(2)  # a process that has left the group may hold the other end
        left_out = self._total - len(self._head) - len(self._tail)
        middle = f"\n… ({left_out:,} bytes left out) …\n" if left_out else ""
        text = self._head.decode(errors="replace") + middle + self._tail.decode(errors="replace")
        return text.replace("\0", "\\x00")

    def _read(self) -> None:
        with self._stream as stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._total += len(chunk)
                room = self._half - len(self._head)
                self._head += chunk[:room]
                self._tail += chunk[room:]
                del self._tail[: -self._half]
