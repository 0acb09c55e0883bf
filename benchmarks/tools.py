"""The tools of the agents: `work`, and twenty more of the same for the benchmark of an idle worker.

They are functions of a module, because the peer starts a process for each and finds it there by name.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.plan import work

Work = Callable[..., str]


def _named(name: str) -> Work:
    def tool(number: int, seconds: float = 0.0, size: int = 0) -> str:
        return work(number, seconds, size)

    tool.__name__ = tool.__qualname__ = name
    tool.__doc__ = work.__doc__
    return tool


TOOLS: dict[str, Work] = {"work": work} | {name: _named(name) for name in (f"work_{n}" for n in range(1, 20))}
globals().update(TOOLS)
