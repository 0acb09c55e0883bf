"""The event loop that the asynchronous tools of a worker host share, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable
from concurrent.futures import CancelledError, Future
from types import FrameType
from typing import Any

from agentspan import blocking, forks
from agentspan.errors import WorkerError
from agentspan.worker.call import Call

log: logging.Logger = logging.getLogger("agentspan.worker")

TICK = 0.5
"""Seconds between two signs of life of a loop."""

STALLED = 3.0
"""Seconds without a sign of life after which a tool counts as holding the loop."""


LEAVING = 2.0
"""Seconds that a loop which ends has for what is left on it: a tool may not heed that it is cancelled."""


class ToolLoop:
    """Runs what tools await. A loop that has ended, or that a tool holds, is replaced for the calls to come."""

    def __init__(self) -> None:
        self._turning: _Turning | None = None
        self._lock = threading.Lock()

    def result(self, call: Call, awaitable: Awaitable[Any]) -> Any:
        """What `awaitable` gives; asked in the call's own thread.

        Raises:
            TimeoutError: It was not done within the tool's time limit. It is cancelled; whether it heeds that or not,
                it is not waited for.
            WorkerError: The loop ended under it.
        """
        while True:
            with self._lock:
                if self._turning is None or self._turning.over:
                    self._turning = _Turning()
                turning = self._turning
            try:
                return turning.result(call, awaitable)
            except _Moved:
                continue

    def look(self) -> None:
        """Replace a loop that does not turn, and say which tool holds it; called now and then."""
        with self._lock:
            turning = self._turning
            if turning is None or not turning.stalled:
                return
            self._turning = None
        log.warning(
            "%s has held the event loop for %g s; other asynchronous calls begin on another one. "
            "What blocks belongs in `await asyncio.to_thread(…)`, or in a tool that is a plain `def`.",
            turning.holder() or "A tool",
            STALLED,
        )
        turning.leave_the_rest()

    def stop(self) -> None:
        """End the loop; what is left on it is cancelled."""
        with self._lock:
            turning, self._turning = self._turning, None
        if turning is not None:
            turning.stop()


class _Turning:
    """One event loop and its thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls: dict[Future[Any], _Place] = {}
        self._lock = threading.Lock()
        self._last = False
        self._turned = time.monotonic()
        self._ended_by: BaseException | None = None
        self.over = False
        self._thread = threading.Thread(target=self._run, name="agentspan-async", daemon=True)
        self._thread.start()

    @property
    def stalled(self) -> bool:
        """Whether calls are on it, and it does not turn."""
        return bool(self._calls) and not self.over and time.monotonic() - self._turned > STALLED

    def result(self, call: Call, awaitable: Awaitable[Any]) -> Any:
        place = _Place(call, awaitable)
        future = self._begin(place)
        try:
            return future.result(call.served.tool.timeout)
        except _Exit as exit_:
            raise exit_.error from None
        except TimeoutError:
            if future.done():  # the tool's own
                raise
            future.cancel()
            raise
        except CancelledError:
            if place.moved:
                raise _Moved from None
            if self.over:
                raise self._end() from None
            raise
        finally:
            self._leave(future)

    def holder(self) -> Call | None:
        """The call whose tool keeps the loop from turning."""
        frame: FrameType | None = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            if frame.f_code is _Place.run.__code__:
                found: _Place = frame.f_locals["self"]
                return found.call
            frame = frame.f_back
        return None

    def stop(self) -> None:
        """End now, and let connections be closed."""
        with self._lock:
            if not self.over:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(LEAVING)

    def leave_the_rest(self) -> None:
        """Let the calls that have not begun yet begin elsewhere, and end when the last of the others has left."""
        with self._lock:
            self._last = True
            waiting = [future for future, place in self._calls.items() if place.move()]
        for future in waiting:
            future.cancel()

    def _begin(self, place: _Place) -> Future[Any]:
        with self._lock:
            if self._last:
                raise _Moved
            if self.over:
                raise self._end()
            future = asyncio.run_coroutine_threadsafe(place.run(), self._loop)
            self._calls[future] = place
            return future

    def _leave(self, future: Future[Any]) -> None:
        with self._lock:
            self._calls.pop(future, None)
            if self._last and not self._calls and not self.over:
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        blocking.forbid_here()
        runner = asyncio.Runner(loop_factory=lambda: self._loop)
        runner.get_loop().call_soon(self._tick)
        try:
            self._loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - a task of a tool's own may raise SystemExit
            self._ended_by = error
        with self._lock:
            self.over = True
        runner.close()  # cancels what is left

    def _tick(self) -> None:
        self._turned = time.monotonic()
        self._loop.call_later(TICK, self._tick)

    def _end(self) -> WorkerError:
        if self._ended_by is None:
            return WorkerError("The worker stopped under the call.")
        kind = type(self._ended_by).__name__
        return WorkerError(f"A task of an asynchronous tool raised {kind}, which ended the event loop under this call.")


class _Place:
    """A call on a loop."""

    def __init__(self, call: Call, awaitable: Awaitable[Any]) -> None:
        self.call = call
        self.moved = False
        self._awaitable = awaitable
        self._begun = False
        self._lock = threading.Lock()

    def move(self) -> bool:
        """Begin here no more; False when it has begun."""
        with self._lock:
            self.moved = not self._begun
            return self.moved

    async def run(self) -> Any:  # `holder` looks for its frame
        with self._lock:
            if self.moved:
                return None
            self._begun = True
        pid = os.getpid()
        error: BaseException | None = None
        try:
            return await self._awaitable
        except (SystemExit, KeyboardInterrupt) as exit_:  # either would end the loop, and with it all other calls
            error = exit_
            raise _Exit(exit_) from exit_
        except BaseException as raised:
            error = raised
            raise
        finally:
            if os.getpid() != pid:  # the tool has forked, and this is the child
                forks.end_child(error)


class _Moved(Exception):
    """The call begins on another loop."""


class _Exit(Exception):
    """A tool ended as if it were a program."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.error = error
