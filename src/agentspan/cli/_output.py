"""How answers are printed: for people, as JSON, or as one JSON object a line.

stdout carries the answer and nothing else; what a command says about its work goes to stderr.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import click

from agentspan.cli._text import cut, flat, plain
from agentspan.reading.durations import duration
from agentspan.reading.result import as_text

if TYPE_CHECKING:
    from agentspan.declare.approval import Request
    from agentspan.reading.reasons import MissingWorker
    from agentspan.reading.result import AgentStatus

Output = Literal["text", "json", "jsonl"]
F = TypeVar("F", bound=Callable[..., Any])

_WIDTH = 100
"""Columns of what is printed into a pipe."""

# What a terminal could take for a command, or no encoding can carry; JSON has another spelling for it.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def output_option(command: F) -> F:
    """Give a command `-o text|json|jsonl`, and `--json` for short."""
    chosen = click.option(
        "-o",
        "--output",
        "output",
        type=click.Choice(["text", "json", "jsonl"]),
        default="text",
        show_default=True,
        help="How to print the answer; jsonl is one JSON object a line.",
    )
    alias = click.option("--json", "output", flag_value="json", help="The same as -o json.")
    return chosen(alias(command))


def example(command: str) -> str:
    """The end of a command's help: something to copy."""
    return f"\b\nExample:\n  {command}"


def say(text: str) -> None:
    """Tell the user what is going on, on stderr."""
    click.echo(text, err=True)


def emit(value: Mapping[str, Any], output: Output, file: IO[str] | None = None) -> None:
    """Print one object as JSON."""
    click.echo(_json(value) if output == "jsonl" else _json(value, indent=2), file=file)


def emit_all(values: Iterable[Mapping[str, Any]], output: Output) -> None:
    """Print objects: a line each as they come, or an array at the end."""
    if output == "jsonl":
        for value in values:
            click.echo(_json(value))
    else:
        click.echo(_json(list(values), indent=2))


def _json(value: Any, indent: int | None = None) -> str:
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def answer(said: object) -> None:
    """Print a model's answer: as it is into a pipe or a file, without control characters on a terminal.

    Args:
        said: The text, or the JSON of an answer that has a type.
    """
    text = as_text(said)
    click.echo(plain(text) if sys.stdout.isatty() else text, color=True)  # or click would take its colours out


@contextmanager
def reserved_stdout() -> Iterator[IO[str]]:
    """Keep stdout for the answer: what a user's own code prints meanwhile goes to stderr."""
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):
        yield stdout


def width() -> int:
    """Columns to print in: the terminal's, or those of COLUMNS."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def shorten(text: str, columns: int = _WIDTH) -> str:
    """A text of whatever origin on one line that a terminal takes as it is, cut where it gets too long."""
    return cut(flat(text), columns)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows in columns, two spaces apart."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def status_lines(status: AgentStatus, now: datetime) -> Iterator[str]:
    """A run at one moment: its state, then what it does or waits for."""
    yield f"{status.status}  step {status.step} / {status.max_steps}  elapsed {duration(status.elapsed)}"
    yield f"  agent    {status.agent}"
    if status.current_task and not status.is_complete:
        yield f"  doing    {status.current_task}"
    for request in status.requests:
        since = f", since {duration((now - request.asked).total_seconds())}" if request.asked else ""
        yield f"  waits    for a person{since}: {_asked(request)}, agentspan request show {request.id}"
    for missing in status.missing_workers:
        yield f"  waits    {_missing(missing, now)}"
    for busy in status.busy_workers:
        since = duration((now - busy.since).total_seconds())
        yield f"  waits    for a place: {busy.worker_id}, which serves {busy.tool}, has been busy for {since}"
    if status.status == "PAUSED":
        yield "  waits    for somebody to resume it"
    if status.error:
        yield f"  error    {shorten(status.error, 2 * _WIDTH)}"
    if status.output:
        yield f"  answer   {shorten(status.output)}"
    if status.usage.total_tokens:
        yield f"  tokens   {status.usage.counts}"


def _asked(request: Request) -> str:
    about = {"output": "its answer", "input": "its prompt"} if request.kind == "guardrail" else {"budget": ""}
    what = about.get(request.tool, request.tool)
    return f"{request.kind} of {request.agent}" + (what and f", {flat(what)}")


def _missing(missing: MissingWorker, now: datetime) -> str:
    waiting = duration((now - missing.since).total_seconds())
    last = f"the last one asked {duration((now - missing.last_poll).total_seconds())} ago" if missing.last_poll else ""
    nobody = last or "none has ever asked for it"
    why = shorten(missing.mismatch, 2 * _WIDTH) if missing.mismatch else nobody
    return f"for a worker that serves {missing.tool}, since {waiting}: {why}"
