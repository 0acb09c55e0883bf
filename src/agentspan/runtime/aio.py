"""Waiting for the server on an event loop: short requests in a few threads that all share, pauses on the loop itself.

So hundreds of readers in one process need a handful of threads, and one that is cancelled leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from agentspan import forks
from agentspan.errors import ServerUnreachable
from agentspan.runtime.waiting import LAST_LOOK, Waiting

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
"""Requests that are under way at once for everything that awaits; the others wait for their turn."""


class _Threads:
    """The threads of this process, made when they are first needed."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        forks.tell(self)

    def executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="agentspan-io")
        return self._executor

    def after_fork(self) -> None:
        """The threads are the parent's."""
        self._executor = None


_threads = _Threads()


async def in_thread(function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What a function gives that waits for the server, without the loop waiting for it."""
    loop = asyncio.get_running_loop()
    call: Callable[[], Any] = partial(copy_context().run, partial(function, *args, **options))
    found: T = await loop.run_in_executor(_threads.executor(), call)
    return found


async def reading(wait: Waiting, read: Callable[[], T]) -> T:
    """What `read` gives, once the server answers."""
    while True:
        try:
            return await in_thread(wait.timed, read)
        except ServerUnreachable as error:
            wait.away(error)
            await pause(wait, moved=False)


async def pause(wait: Waiting, *, moved: bool, longest: float = LAST_LOOK) -> None:
    """Wait before the next look, for `longest` seconds at most.

    Raises:
        WaitTimeout: The caller's time is over.
    """
    with wait.resting():
        await asyncio.sleep(min(longest, wait.until_next(moved=moved)))
    if wait.stands_still:
        await in_thread(wait.look_after)
