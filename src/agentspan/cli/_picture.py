"""Lines that are drawn again and again at the same place of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click

_TO_ITS_START = "\r"
_UP = "\x1b[{}A"
_ERASE_FROM_HERE = "\x1b[J"


class Picture:
    """What was drawn last; the next drawing takes its place.

    Args:
        err: Draw on stderr.
    """

    def __init__(self, *, err: bool = False) -> None:
        self._err = err
        self._drawn: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Draw lines, none of which may be wider than the terminal. Nothing changes when they are there already."""
        if list(lines) == self._drawn:
            return
        back = _UP.format(len(self._drawn)) if self._drawn else ""
        click.echo(
            _TO_ITS_START + back + _ERASE_FROM_HERE + "".join(f"{line}\n" for line in lines), nl=False, err=self._err
        )
        self._drawn = list(lines)
