"""`start`, `run`, `serve` and the like: a runtime that a program does not have to make."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any, Unpack

from agentspan import forks
from agentspan.config import Settings, load_settings
from agentspan.declare.agent import Agent
from agentspan.declare.content import Prompt
from agentspan.declare.output import Typed
from agentspan.errors import InputError
from agentspan.reading.events import AnyEvent
from agentspan.reading.result import AgentResult
from agentspan.runtime.handle import AgentHandle
from agentspan.runtime.options import RunOptions, StartOptions, StreamOptions
from agentspan.runtime.runtime import AgentRuntime
from agentspan.runtime.stream import EventStream

_shared: dict[Settings, AgentRuntime] = {}
_shared_lock = threading.Lock()


class _Shared:
    """Renews the lock of the shared runtimes in a forked child."""

    def after_fork(self) -> None:
        global _shared_lock
        _shared_lock = threading.Lock()


_renewal = _Shared()
forks.tell(_renewal)


def shared_runtime() -> AgentRuntime:
    """The runtime behind `start`, `run`, `serve` and the like: one per process and settings."""
    settings = load_settings()
    with _shared_lock:
        if settings not in _shared:
            _shared[settings] = AgentRuntime()
        return _shared[settings]


def _given(runtime: AgentRuntime | None) -> AgentRuntime:
    if runtime is None:
        return shared_runtime()
    if not isinstance(runtime, AgentRuntime):
        raise InputError(
            f"runtime must be an AgentRuntime, not {type(runtime).__name__}",
            hint="AgentRuntime(server_url=…) makes one for a server; without runtime= the settings name it.",
        )
    return runtime


def start(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[StartOptions]
) -> AgentHandle[Typed]:
    """Start a run and return as soon as the server has stored it; see `AgentRuntime.start`."""
    return _given(runtime).start(agent, prompt, **options)


def run(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[RunOptions]
) -> AgentResult[Typed]:
    """Start a run and wait for its result; see `AgentRuntime.run`."""
    return _given(runtime).run(agent, prompt, **options)


def stream(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[StreamOptions]
) -> EventStream[Typed]:
    """Start a run and iterate over its events; see `AgentRuntime.stream`."""
    return _given(runtime).stream(agent, prompt, **options)


async def start_async(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[StartOptions]
) -> AgentHandle[Typed]:
    """Start a run without keeping the event loop waiting; see `AgentRuntime.start`."""
    return await _given(runtime).start_async(agent, prompt, **options)


async def run_async(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[RunOptions]
) -> AgentResult[Typed]:
    """Start a run and wait for its result on an event loop; see `AgentRuntime.run_async`."""
    return await _given(runtime).run_async(agent, prompt, **options)


async def stream_async(
    agent: Agent[Typed] | str, prompt: Prompt, *, runtime: AgentRuntime | None = None, **options: Unpack[StreamOptions]
) -> AsyncIterator[AnyEvent]:
    """Start a run and iterate over its events with `async for`; see `AgentRuntime.stream_async`."""
    async for event in _given(runtime).stream_async(agent, prompt, **options):
        yield event


def serve(*agents: Agent[Any], runtime: AgentRuntime | None = None, blocking: bool = True) -> None:
    """Register the agents and serve their tools, by default until SIGTERM or Ctrl-C; see `AgentRuntime.serve`."""
    _given(runtime).serve(*agents, blocking=blocking)


def deploy(*agents: Agent[Any], runtime: AgentRuntime | None = None) -> dict[str, int]:
    """Register agents without starting anything; the version of each, by its name."""
    return _given(runtime).deploy(*agents)


def resume(execution_id: str, agent: Agent[Typed], *, runtime: AgentRuntime | None = None) -> AgentHandle[Typed]:
    """Come back to a run: serve its agent's tools in the background, and give the run's handle."""
    return _given(runtime).resume(execution_id, agent)
