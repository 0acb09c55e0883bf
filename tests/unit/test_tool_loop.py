"""The event loop of a worker host as it ends."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from agentspan.worker.loop import ToolLoop

CALL: Any = SimpleNamespace(served=SimpleNamespace(tool=SimpleNamespace(timeout=None)))


def test_what_is_left_on_a_loop_has_left_once_it_is_stopped() -> None:
    """Else the process ends in the middle of that, and Python complains about a loop that is gone."""
    left = threading.Event()
    held: list[asyncio.Task[None]] = []

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # as a connection does that is closed
            left.set()

    async def begin() -> None:
        held.append(asyncio.ensure_future(hold()))
        await asyncio.sleep(0)

    loop = ToolLoop()
    loop.result(CALL, begin())
    loop.stop()

    assert left.is_set()
