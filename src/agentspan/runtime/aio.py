"""Waiting for the server on an event loop: short requests in a few threads that all share, pauses on the loop itself.

So hundreds of readers in one process need a handful of threads, and one that is cancelled leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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


class Woken(asyncio.Event):
    """An event that is waited for on this loop, and that any thread can set."""

    def __init__(self) -> None:
        super().__init__()
        self._own = asyncio.get_running_loop()

    def set(self) -> None:
        """End the wait, or the next one."""
        with suppress(RuntimeError):  # the loop has been closed meanwhile, and nobody waits on it
            self._own.call_soon_threadsafe(super().set)

    async def wait_for(self, seconds: float) -> None:
        """Wait so long at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), seconds)


async def pause(
    wait: Waiting,
    *,
    moved: bool,
    longest: float = LAST_LOOK,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Wait before the next look, for `longest` seconds at most.

    Args:
        wait: Says how long.
        moved: Whether the last look has found something.
        longest: Seconds.
        sleep: Waits for so many seconds, or less when there is something to see.

    Raises:
        WaitTimeout: The caller's time is over.
    """
    with wait.resting():
        await sleep(min(longest, wait.until_next(moved=moved)))
    if wait.stands_still:
        await in_thread(wait.look_after)
