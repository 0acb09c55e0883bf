"""How far a server's start is, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentspan.cli._output import say

if TYPE_CHECKING:
    from agentspan.server import Progress


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show what a start is doing: on a terminal with a bar and a spinner, else a line for each stage."""
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - costs every command time, and only this one needs it
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(stage: str, done: int | None = None, total: int | None = None, /) -> None:
            bar.update(task, description=stage, completed=done or 0, total=total)

        yield show


def _lines() -> Progress:
    told: set[str] = set()

    def show(stage: str, _done: int | None = None, _total: int | None = None, /) -> None:
        if stage not in told:
            told.add(stage)
            say(f"{stage} …")

    return show
