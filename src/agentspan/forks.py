"""What a forked child must not share with its parent: connections, threads, locks, and calls that are not its own.

`gunicorn --preload`, Celery's prefork pool, `multiprocessing` and a tool that forks all copy a process of which only
one thread lives on. What holds something of that kind is told in the child before anything else runs there.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What must be told that this process is a forked child now."""

    def after_fork(self) -> None:
        """Let go of what is the parent's. No lock of before may be waited for: nobody may be left to release it."""


_told: WeakSet[Forkable] = WeakSet()


def tell(value: Forkable) -> None:
    """Tell a value in every forked child, as long as it lives."""
    _told.add(value)


def _in_child() -> None:
    for value in list(_told):
        value.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)


def end_child(error: BaseException | None) -> NoReturn:
    """End a child that a tool has forked and that came out of the tool's function: the call is its parent's."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
