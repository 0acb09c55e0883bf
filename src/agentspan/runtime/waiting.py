"""Waiting for a run: pauses that get longer while nothing happens, a deadline, and the watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from agentspan.control.watchdog import Watchdog
from agentspan.declare.tool import current_tool_context
from agentspan.engine.client import Conductor
from agentspan.errors import InputError, ServerError, ServerUnreachable, WaitTimeout

T = TypeVar("T")

FIRST_LOOK = 0.01
"""Seconds between the first looks at a run; each later pause is a quarter longer, up to `LAST_LOOK`."""
LAST_LOOK = 0.5
REST = 2
"""How much longer than a look took is the pause after it: readers leave most of a busy server to the runs."""
STANDS_STILL = 1.0
"""Seconds without an event after which the watchdog of a reader looks at the run."""


def check_timeout(timeout: object) -> None:
    """Refuse what is no time to wait.

    Raises:
        InputError: It is neither a number of seconds from 0 on, nor None.
    """
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout >= 0
    if timeout is not None and not number:
        raise InputError(f"timeout must be a number of seconds, or None to wait for the end, not {timeout!r}")


class Waiting:
    """Waiting for a run.

    A server that goes away is waited for, and `on_away` is called each time it does not answer; one that this runtime
    has never reached is an error.

    Args:
        client: The server.
        execution_id: The run.
        timeout: Seconds to wait at most; None waits for the end of the run.
        on_away: Called each time the server does not answer.
    """

    def __init__(
        self, client: Conductor, execution_id: str, timeout: float | None, on_away: Callable[[], None] = lambda: None
    ) -> None:
        check_timeout(timeout)
        call = current_tool_context()
        self.resting: Callable[[], AbstractContextManager[None]] = nullcontext if call is None else call.waiting
        self._execution_id = execution_id
        self._timeout = timeout
        self._on_away = on_away
        self._start = time.monotonic()
        self._seconds = FIRST_LOOK
        self._took = 0.0
        self._moved = self._start
        self._client = client
        self._watchdog = Watchdog(client)
        self._watchdog.watch(execution_id)

    def reading(self, read: Callable[[], T]) -> T:
        """What `read` gives, once the server answers."""
        while True:
            try:
                return self.timed(read)
            except ServerUnreachable as error:
                self.away(error)
                self.pause(moved=False)

    def pause(self, *, moved: bool, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait before the next look.

        Args:
            moved: Whether the last look has found something.
            sleep: Waits for so many seconds, or less when there is something to see.

        Raises:
            WaitTimeout: The caller's time is over.
        """
        with self.resting():
            sleep(self.until_next(moved=moved))
        if self.stands_still:
            self.look_after()

    # ---- the parts, for who waits in another way --------------------------------------------------------

    def timed(self, read: Callable[[], T]) -> T:
        """What `read` gives; the pause after it is longer the longer it took."""
        begun = time.monotonic()
        found = read()
        self._took = time.monotonic() - begun
        return found

    def away(self, error: ServerUnreachable) -> None:
        """The server has not answered.

        Raises:
            ServerUnreachable: It never has.
        """
        if not self._client.reached:
            raise error
        self._on_away()
        self._watchdog.hurry()

    def until_next(self, *, moved: bool) -> float:
        """Seconds until the next look.

        Raises:
            WaitTimeout: The caller's time is over.
        """
        if self._timeout is not None and time.monotonic() - self._start > self._timeout:
            raise WaitTimeout(
                f"Run {self._execution_id} was not over after {self._timeout:g} s; it goes on.",
                hint=f"`agentspan agent status {self._execution_id}` says what it is doing.",
            )
        self._seconds = FIRST_LOOK if moved else min(LAST_LOOK, self._seconds * 1.25)
        if moved:
            self._moved = time.monotonic()
        return max(self._seconds, min(LAST_LOOK, REST * self._took))

    @property
    def stands_still(self) -> bool:
        """Whether the run has not moved for long enough that it is worth a look of the watchdog."""
        return time.monotonic() - self._moved >= STANDS_STILL

    def look_after(self) -> None:
        """Let the watchdog ask the engine for what is due."""
        try:
            self._watchdog.round()
        except ServerError:
            # The watchdog only helps; what is wrong for the caller too, the next reading raises.
            self._watchdog.hurry()
