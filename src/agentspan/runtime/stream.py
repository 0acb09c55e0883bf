"""A run's events as they come, for `for` and for `async for`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic

from agentspan import blocking, compat
from agentspan.declare.output import OutputT
from agentspan.errors import WaitTimeout
from agentspan.reading.events import AnyEvent
from agentspan.reading.history import History
from agentspan.reading.result import AgentResult
from agentspan.runtime import aio
from agentspan.runtime.tokens import PAUSE, Tokens
from agentspan.runtime.waiting import LAST_LOOK, Waiting
from agentspan.telemetry.traces import TRACES

if TYPE_CHECKING:
    from agentspan.runtime.handle import AgentHandle


class EventStream(Iterator[AnyEvent], Generic[OutputT]):
    """An iterator over a run's events that ends with the run, for `for` and for `async for`.

    Reading starts when iteration does, and goes on where it was left: after a `break`, after an error, with `next()`.
    As a context manager it is closed at the end of the block.

    Attributes:
        handle: The run.
        cursor: `seq` of the last event that was handed out; `handle.stream(cursor)` goes on after it.
    """

    def __init__(
        self,
        handle: AgentHandle[OutputT],
        history: History,
        from_: int,
        timeout: float | None,
        on_away: Callable[[], None] = lambda: None,
        *,
        tokens: bool = False,
    ) -> None:
        self.handle: AgentHandle[OutputT] = handle
        self.cursor: int = from_
        self._history = history
        self._timeout = timeout
        self._on_away = on_away
        self._unread: deque[AnyEvent] = deque()
        self._over = False
        self._wait: Waiting | None = None
        self._moved = False
        runtime = handle.runtime
        self._tokens = Tokens(runtime.client, runtime.listeners, handle.execution_id) if tokens else None

    def __enter__(self) -> EventStream[OutputT]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hand out nothing more; the run goes on."""
        self._unread.clear()
        self._end()

    def _end(self) -> None:
        self._over = True
        if self._tokens is not None:
            self._tokens.close()

    def __iter__(self) -> EventStream[OutputT]:
        return self

    def __next__(self) -> AnyEvent:
        blocking.check("This stream")
        while not self._unread:
            if self._over:
                raise StopIteration
            self._read_on()
        event = self._unread.popleft()
        self.cursor = event.seq
        return event

    def __aiter__(self) -> AsyncEvents:
        return AsyncEvents(self)

    def _read_on(self) -> None:
        if self._wait is None:
            self._wait = self._waiting()
        else:
            self._pause(self._wait)
        heard = self._heard()
        if heard:
            self._unread.extend(heard)
            return
        fresh, _ = self._wait.reading(self._fresh)
        self._unread.extend(fresh)
        self._moved = bool(fresh)

    def _heard(self) -> list[AnyEvent]:
        """What the model has said in this process since the last look."""
        return [] if self._tokens is None else [*self._tokens.heard(self.cursor)]

    def _pause(self, wait: Waiting) -> None:
        try:
            wait.pause(moved=self._moved, sleep=time.sleep if self._tokens is None else self._tokens.wait)
        except WaitTimeout:
            self._wait = None  # who asks once more waits once more
            raise

    def _waiting(self) -> Waiting:
        return Waiting(self.handle.runtime.client, self.handle.execution_id, self._timeout, self._on_away)

    def _fresh(self) -> tuple[list[AnyEvent], bool]:
        """The events after the cursor, and whether they are the last; then the stream ends with them."""
        stored, over = self._history.fresh(self.cursor)
        fresh = [*self._heard(), *stored]  # what was said before it was stored comes first
        if over:
            TRACES.ended(self.handle.runtime.client, self.handle.execution_id)
            self._end()
        elif self._tokens is not None:
            seq = stored[-1].seq if stored else self.cursor
            fresh += self._tokens.fresh(self._history.newest, seq)
        return compat.events(fresh) if self.handle.runtime.settings.compat else fresh, over

    async def get_result_async(self) -> AgentResult[OutputT]:
        """Wait for the end of the run on an event loop, and return what it gave; see `get_result`."""
        return await self.handle.result_async(self._timeout)

    def get_result(self) -> AgentResult[OutputT]:
        """Wait for the end of the run and return what it gave; raises as `AgentHandle.result` does."""
        return self.handle.result(self._timeout)


class AsyncEvents:
    """Iterates over a stream on an event loop. Who gives up waiting for an event can ask for it again."""

    def __init__(self, stream: EventStream[Any]) -> None:
        self._stream = stream
        self._wait = stream._waiting()
        self._unread: deque[AnyEvent] = deque()
        self._over = False
        self._look: asyncio.Task[None] | None = None

    @property
    def cursor(self) -> int:
        """`seq` of the last event that was handed out."""
        return self._stream.cursor

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> AnyEvent:
        while not self._unread:
            if self._over:
                raise StopAsyncIteration
            if self._look is None:
                self._look = asyncio.ensure_future(self._read_on())
            # Shielded: a look that its reader gives up goes on, and the next one waits for that very look.
            await asyncio.shield(self._look)
            self._look = None
        event = self._unread.popleft()
        self._stream.cursor = event.seq
        return event

    async def _read_on(self) -> None:
        while True:
            heard = self._stream._heard()
            if heard:
                self._unread.extend(heard)
                return
            fresh, over = await aio.reading(self._wait, self._stream._fresh)
            self._unread.extend(fresh)
            self._over = over
            if fresh or over:
                return
            longest = LAST_LOOK if self._stream._tokens is None else PAUSE
            await aio.pause(self._wait, moved=False, longest=longest)
