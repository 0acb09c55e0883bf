"""A book of what the tools did, kept by the tools themselves: the demo's proof."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agentspan.agents import ToolContext

VARIABLE = "AGENTSPAN_DEMO_LEDGER"
"""Names the file; without it no book is kept."""


@dataclass(frozen=True)
class Line:
    """One line of the book.

    Attributes:
        mark: Whether the call began or ended.
        tool: Which tool.
        about: What it works on, in words.
        execution_id: The run.
        idempotency_key: The same for every attempt of one call.
        attempt: Which attempt, from 1.
        pid: The process that ran it.
        at: When, in seconds since 1970.
    """

    mark: Literal["start", "end"]
    tool: str
    about: str
    execution_id: str
    idempotency_key: str
    attempt: int
    pid: int
    at: float


@contextmanager
def noted(context: ToolContext, about: str) -> Iterator[None]:
    """Write down that a call begins and, unless the process dies before, that it ends."""
    _write("start", context, about)
    yield
    _write("end", context, about)


def _write(mark: Literal["start", "end"], context: ToolContext, about: str) -> None:
    path = os.environ.get(VARIABLE)
    if path:
        line = Line(
            mark=mark,
            tool=context.tool,
            about=about,
            execution_id=context.execution_id,
            idempotency_key=context.idempotency_key,
            attempt=context.attempt,
            pid=os.getpid(),
            at=time.time(),
        )
        with Path(path).open("a", encoding="utf-8") as file:  # one write: lines of two processes never mix
            file.write(json.dumps(asdict(line)) + "\n")


def read(path: Path, execution_id: str) -> list[Line]:
    """What is in the book so far about one run; a worker serves others, too, that were left unfinished."""
    if not path.exists():
        return []
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    lines = [Line(**json.loads(line)) for line in whole]
    return [line for line in lines if line.execution_id == execution_id]


@dataclass(frozen=True)
class Call:
    """One tool call, with all its attempts.

    Attributes:
        tool: Which tool.
        about: What it worked on.
        idempotency_key: What all attempts had in common.
        attempts: The numbers of the attempts, in order.
        pids: The processes that ran them.
    """

    tool: str
    about: str
    idempotency_key: str
    attempts: tuple[int, ...]
    pids: tuple[int, ...]


def calls(lines: list[Line]) -> list[Call]:
    """The book by call, in the order they began."""
    begun: dict[str, list[Line]] = {}
    for line in lines:
        if line.mark == "start":
            begun.setdefault(line.idempotency_key, []).append(line)
    return [
        Call(
            tool=attempts[0].tool,
            about=attempts[0].about,
            idempotency_key=key,
            attempts=tuple(line.attempt for line in attempts),
            pids=tuple(line.pid for line in attempts),
        )
        for key, attempts in begun.items()
    ]


def in_flight(lines: list[Line]) -> list[Line]:
    """Attempts that began and have not ended."""
    ended = {(line.idempotency_key, line.attempt) for line in lines if line.mark == "end"}
    return [line for line in lines if line.mark == "start" and (line.idempotency_key, line.attempt) not in ended]
