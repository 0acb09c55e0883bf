"""Threads in which nothing may wait for a run: the event loops of asynchronous tools."""

from __future__ import annotations

import threading

from agentspan.errors import WouldBlock

_thread = threading.local()


def forbid_here() -> None:
    """Let no call in this thread wait for a run from now on."""
    _thread.forbidden = True


def check(what: str) -> None:
    """Refuse a call that waits, where it would keep everything else waiting, too.

    Raises:
        WouldBlock: This thread is the event loop of asynchronous tools.
    """
    if getattr(_thread, "forbidden", False):
        raise WouldBlock(
            f"{what} waits for a run, on the event loop that all asynchronous tools of this worker share.",
            hint="Await it: `await run_async(agent, prompt)`, `await handle.result_async()`. Or make it a plain `def`.",
        )
