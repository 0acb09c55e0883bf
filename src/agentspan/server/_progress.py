"""How the slow parts of a start tell their caller what they are doing."""

from __future__ import annotations

from typing import Protocol

STARTING = "starting the server"
"""The last stage; it comes only where the server was not running."""


class Progress(Protocol):
    """Called while a server is made ready.

    `done` and `total` are bytes for the download; both are None for stages whose length is not known.
    """

    def __call__(self, stage: str, done: int | None = None, total: int | None = None, /) -> None:
        """Take note of what is being done."""


def silent(_stage: str, _done: int | None = None, _total: int | None = None, /) -> None:
    """Progress that nobody looks at."""
