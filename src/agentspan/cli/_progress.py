"""How far a server's start is, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentspan.cli._output import say
from agentspan.cli._picture import Picture

if TYPE_CHECKING:
    from agentspan.server import Progress


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show what a start is doing: on a terminal in one line that changes, else in a line for each stage."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    picture = Picture(err=True)
    try:
        yield lambda stage, done=None, total=None, /: picture.show([_line(stage, done, total)])
    finally:
        picture.show([])


def _line(stage: str, done: int | None, total: int | None) -> str:
    if not done or not total:
        return f"{stage} …"
    return f"{stage}: {done / 1e6:.0f} of {total / 1e6:.0f} MB"


def _lines() -> Progress:
    told: set[str] = set()

    def show(stage: str, _done: int | None = None, _total: int | None = None, /) -> None:
        if stage not in told:
            told.add(stage)
            say(f"{stage} …")

    return show
