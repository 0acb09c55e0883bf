"""The contestants, each in a process of its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import psutil

from benchmarks.model import Unfinished

Name = Literal["agentspan", "peer", "floor"]
NAMES: tuple[Name, ...] = ("agentspan", "peer", "floor")

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class AgentSpec:
    """An agent that every contestant can build.

    Attributes:
        name: Its name; each contestant puts its own before it, since all register at the same server.
        tools: How many tools it has.
        max_turns: Its limit.
        max_chars: Its context budget, where the contestant has one; 0 is the default.
    """

    name: str = "worker"
    tools: int = 1
    max_turns: int = 10_000
    max_chars: int = 0


WORKER = AgentSpec()
PLAIN = AgentSpec(name="plain", tools=0)


@dataclass(frozen=True)
class Answer:
    """What a contestant's process answered, and how long it took by its own clock."""

    value: Any
    seconds: float


@dataclass
class Contestant:
    """A contestant's process: takes one command after the other; nothing of it is left after the `with` block.

    Args:
        name: Which one.
        url: The server.
        log: The file for what it and its children print.
        limit: Seconds that a command may take.
    """

    name: Name
    url: str
    log: Path
    limit: float = 120.0
    started: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.contestants.host", self.name, self.url]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                text=True,
                start_new_session=True,  # how its children are found again
            )
        assert self._process.stdin
        assert self._process.stdout
        self._input = self._process.stdin
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(BrokenPipeError):
            self._input.close()  # the polite way
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        left = self.processes()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        self._process.wait(10)

    def processes(self) -> list[psutil.Process]:
        """The living processes of its session, orphans too."""
        return [process for process in psutil.process_iter() if _session(process) == self._process.pid]

    def cpu(self) -> float:
        """Seconds of one core that its living processes have used."""
        return sum((times.user + times.system for times in self._each(psutil.Process.cpu_times)), 0.0)

    def memory(self) -> int:
        """Bytes that its processes hold for themselves alone, and their share of what they have in common."""
        return sum(info.pss for info in self._each(psutil.Process.memory_full_info))

    def _each(self, ask: Callable[[psutil.Process], Any]) -> Iterator[Any]:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                yield ask(process)

    def do(self, command: str, limit: float | None = None, **arguments: Any) -> Answer:
        """Let it do something.

        Raises:
            Unfinished: It failed, ended, or took longer than the limit.
        """
        try:
            self._input.write(json.dumps({"command": command, "arguments": arguments}) + "\n")
            self._input.flush()
            answer = json.loads(self._answers.get(timeout=limit or self.limit))
        except queue.Empty:
            raise Unfinished(f"did not finish ({command} took more than {limit or self.limit:g} s)") from None
        except BrokenPipeError:
            raise Unfinished(f"its process ended during {command}") from None
        if "error" in answer:
            raise Unfinished(f"{command} failed: {answer['error']}")
        return Answer(answer["value"], answer["seconds"])

    def serve(self, agent: AgentSpec) -> None:
        """Register an agent and serve its tools."""
        self.do("serve", agent=asdict(agent))

    def start(self, agent: AgentSpec, prompt: str, **more: Any) -> Answer:
        """Start a run; its execution id."""
        answer = self.do("start", agent=asdict(agent), prompt=prompt, **more)
        self.started.append(answer.value)
        return answer

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._answers.put(line)
        self._answers.put(json.dumps({"error": "its process ended"}))


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid) if process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, psutil.NoSuchProcess):
        return None  # it has just ended
