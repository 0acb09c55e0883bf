"""AgentRuntime: registers, starts and serves agents on one server."""

from __future__ import annotations

import asyncio
import atexit
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from importlib import import_module
from typing import Any

from agentspan import blocking, forks
from agentspan._distribution import warn_of_mixed_files
from agentspan.compiler import compile_agent
from agentspan.config import Settings, load_settings
from agentspan.control.claims import start_once
from agentspan.control.registry import register
from agentspan.declare.agent import Agent
from agentspan.engine.client import Conductor
from agentspan.errors import InputError
from agentspan.reading.events import Event
from agentspan.reading.result import AgentResult
from agentspan.runtime import aio
from agentspan.runtime.handle import AgentHandle, EventStream
from agentspan.runtime.progress import ProgressLine
from agentspan.schema.values import check_text, check_value
from agentspan.telemetry.traces import TRACES
from agentspan.worker import WorkerHost

log: logging.Logger = logging.getLogger("agentspan")

DRAIN = 30.0
"""Seconds that running tool calls get to finish when a process ends."""


WAKES = 0.5
"""Seconds between two looks of a serving process for a signal."""


class AgentRuntime:
    """A connection to a Conductor server, and the worker host of this process for it.

    Args:
        server_url: The server's address, with or without `/api`; default: `configure()`, then
            AGENTSPAN_SERVER_URL, then http://127.0.0.1:6767.
        **settings: Other fields of `Settings`, or `profile="…"` for those of a profile of the user's file.

    As a context manager it stops its worker host at the end of the block: running calls finish,
    the rest is handed back. Runs themselves go on.

    Raises:
        ConfigError: A setting makes no sense.
    """

    def __init__(self, server_url: str | None = None, **settings: Any) -> None:
        warn_of_mixed_files(log)
        self.settings: Settings = load_settings(server_url=server_url, **settings)
        self.client: Conductor = Conductor(self.settings)
        self._host: WorkerHost | None = None
        self._versions: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        forks.tell(self)

    def __repr__(self) -> str:
        return f"AgentRuntime(server_url={self.settings.server_url!r})"

    def __enter__(self) -> AgentRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    async def __aenter__(self) -> AgentRuntime:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.shutdown)  # calls that finish meanwhile may need the threads of requests

    def register(self, agent: Agent) -> int:
        """Put the agent's definitions on the server; the version that holds exactly this content.

        The same content keeps its version, other content gets the next one; runs keep theirs.

        Raises:
            Conflict: The name belongs to a definition that is not an agent's.
            ServerError: The server cannot be reached, or refuses.
        """
        definition = compile_agent(agent)
        with self._lock:
            known = self._versions.get(definition.fingerprint)
        if known is None:
            known = register(self.client, definition)
            with self._lock:
                self._versions[definition.fingerprint] = known
        return known

    def start(
        self,
        agent: Agent,
        prompt: str,
        *,
        messages: list[dict[str, str]] | None = None,
        context: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        serve: bool = True,
    ) -> AgentHandle:
        """Start a run and return as soon as the server has stored it.

        Args:
            agent: What to run.
            prompt: The user's message.
            messages: The conversation before it: `{"role": "user" | "assistant", "message": …}`.
            context: Values kept with the run for its readers; the model does not see them.
            idempotency_key: Start one run for this key and agent, however often and from however many processes
                it is asked for; later calls get the handle of that run, whatever has become of it. Two runs are
                possible only when a process stands still for a minute in the middle of its start.
            serve: Serve the run's calls with this agent's very tools from this process, in the background. Runs that
                other processes started are left to `serve()`, unless the tools hold no values of this one.

        Raises:
            InputError: The prompt, the messages or the context cannot be carried intact; nothing was sent.
            ServerError: The server cannot be reached, or refuses.
        """
        inputs = _run_input(prompt, messages, context)
        if idempotency_key is not None:
            _check_key(idempotency_key)
        with TRACES.starting(agent.name) as started:
            inputs |= started.inputs
            version = self.register(agent)
            begin = partial(self._begin, agent.name, version, inputs, idempotency_key)
            if serve and agent.tools:
                started.execution_id = self._worker_host().serve_run(agent, version, begin)
            else:
                started.execution_id = begin()
        return AgentHandle(started.execution_id, self)

    def _begin(self, name: str, version: int, inputs: dict[str, Any], key: str | None) -> str:
        if key is None:
            return self.client.start_workflow(name, version, inputs)
        return start_once(self.client, name, version, inputs, key)

    def run(self, agent: Agent, prompt: str, *, timeout: float | None = None, **options: Any) -> AgentResult:
        """Start a run and wait for its result; see `start` and `AgentHandle.result`.

        When stderr is a terminal, a line there shows what the run is doing, unless the setting `progress` is off.
        """
        blocking.check("run()")
        handle = self.start(agent, prompt, **options)
        with ProgressLine(handle) if self.settings.progress else nullcontext():
            return handle.result(timeout)

    def stream(self, agent: Agent, prompt: str, **options: Any) -> EventStream:
        """Start a run and iterate over its events; see `start` and `AgentHandle.stream`."""
        return self.start(agent, prompt, **options).stream()

    async def start_async(self, agent: Agent, prompt: str, **options: Any) -> AgentHandle:
        """Start a run without keeping the event loop waiting; see `start`."""
        return await aio.in_thread(self.start, agent, prompt, **options)

    async def run_async(
        self, agent: Agent, prompt: str, *, timeout: float | None = None, **options: Any
    ) -> AgentResult:
        """Start a run and wait for its result on an event loop; see `run`.

        When it is cancelled, it waits no more; the run goes on.
        """
        handle = await self.start_async(agent, prompt, **options)
        return await handle.result_async(timeout)

    async def stream_async(self, agent: Agent, prompt: str, **options: Any) -> AsyncIterator[Event]:
        """Start a run and iterate over its events with `async for`; see `stream`."""
        handle = await self.start_async(agent, prompt, **options)
        async for event in handle.stream():
            yield event

    def serve(self, *agents: Agent, blocking: bool = True, drain: float = DRAIN) -> None:
        """Register the agents and serve their tools.

        Args:
            *agents: The agents whose tools this process implements.
            blocking: Return only after SIGTERM, Ctrl-C or `shutdown()`, when running calls have finished; else
                serve in the background until the runtime is shut down or the process ends. Signals reach a program's
                main thread only: in another one it waits for `shutdown()`.
            drain: Seconds that running calls get after SIGTERM or Ctrl-C; the rest is handed back then.
        """
        stopped = self._stopped
        for agent in agents:
            version = self.register(agent)
            if agent.tools:
                self._worker_host().serve(agent, version)
        if blocking:
            with _until_signalled() as signalled:
                # The kernel may give the signal to another thread; Python handles it once this one wakes up.
                while not signalled.wait(WAKES) and not stopped.is_set():
                    pass
            self.shutdown(drain)

    def handle(self, execution_id: str) -> AgentHandle:
        """A run on this server, by its id."""
        return AgentHandle(execution_id, self)

    def resume(self, execution_id: str, agent: Agent) -> AgentHandle:
        """Come back to a run: serve its agent's tools in the background, and give the run's handle."""
        self.serve(agent, blocking=False)
        return self.handle(execution_id)

    def deploy(self, *agents: Agent) -> dict[str, int]:
        """Register agents without starting anything; the version of each, by its name."""
        return {agent.name: self.register(agent) for agent in agents}

    def shutdown(self, timeout: float = DRAIN) -> None:
        """Stop serving: running calls get `timeout` seconds to finish, the rest is handed back."""
        with self._lock:
            host, self._host = self._host, None
            stopped, self._stopped = self._stopped, threading.Event()
        try:
            if host is not None:
                _serving.discard(self)
                host.stop(timeout)
        finally:
            stopped.set()

    def after_fork(self) -> None:
        """Be a runtime of this child's own: the worker host is the parent's."""
        host, self._host = self._host, None
        self._lock, self._stopped = threading.Lock(), threading.Event()
        _serving.discard(self)
        if host is not None:
            host.after_fork()

    def _worker_host(self) -> WorkerHost:
        with self._lock:
            if self._host is None:
                self._host = WorkerHost(self.client, concurrency=self.settings.concurrency)
                _serving.add(self)
                _drain_before_the_end()
            return self._host


_serving: set[AgentRuntime] = set()
"""The runtimes whose worker hosts must be stopped before the interpreter ends."""


@cache
def _drain_before_the_end() -> None:
    """Have worker hosts stopped while threads and executors can still be used: tools that run may need them.

    `atexit` is too late for that. The standard library's executors end at a place of their own before it, in the
    reverse order of their registration; it has no public name (CPython 3.9 to 3.14).
    """
    import_module("concurrent.futures.thread")  # which must have registered before us
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    register(_drain)


def _drain() -> None:
    for runtime in list(_serving):
        try:
            runtime.shutdown()
        except KeyboardInterrupt:  # its calls were handed back; the program was about to end anyway
            log.debug("Interrupted while draining.")


def _run_input(prompt: str, messages: object, context: Mapping[str, Any] | None) -> dict[str, Any]:
    if not check_text(prompt, "prompt").strip():
        raise InputError("prompt is empty", hint="Models refuse a conversation in which the user says nothing.")
    inputs: dict[str, Any] = {"prompt": prompt}
    if messages:
        before = check_value(messages, "messages")
        inputs["messages"] = [_message(item, f"messages[{number}]") for number, item in enumerate(before)]
    if context is not None and not isinstance(context, Mapping):
        raise InputError(f"context must be a dict, not {type(context).__name__}")
    if context:
        inputs["context"] = check_value(dict(context), "context")
    check_value(inputs, "prompt, messages and context together")
    return inputs


def _check_key(key: object) -> None:
    if not check_text(key, "idempotency_key").strip():
        raise InputError(
            "idempotency_key is empty: all callers without a key would share one run",
            hint="Leave it out, or pass None, where there is no key.",
        )


def _message(item: Any, what: str) -> dict[str, str]:
    if not isinstance(item, dict) or set(item) != {"role", "message"} or item["role"] not in ("user", "assistant"):
        raise InputError(f"{what} must be {{'role': 'user' or 'assistant', 'message': str}}, not {str(item)[:100]}")
    if not check_text(item["message"], f"{what}: message").strip():
        raise InputError(f"{what}: message is empty")
    return item


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the handlers of before are put back."""
    signalled = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield signalled
        return
    before = {number: signal.signal(number, lambda *_: signalled.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signalled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
    """The runtime behind `start`, `run` and `stream`: one per process and settings."""
    settings = load_settings()
    with _shared_lock:
        if settings not in _shared:
            _shared[settings] = AgentRuntime()
        return _shared[settings]


def start(agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any) -> AgentHandle:
    """Start a run and return as soon as the server has stored it; see `AgentRuntime.start`."""
    return (runtime or shared_runtime()).start(agent, prompt, **options)


def run(agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any) -> AgentResult:
    """Start a run and wait for its result; see `AgentRuntime.run`."""
    return (runtime or shared_runtime()).run(agent, prompt, **options)


def stream(agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any) -> EventStream:
    """Start a run and iterate over its events; see `AgentRuntime.stream`."""
    return (runtime or shared_runtime()).stream(agent, prompt, **options)


async def start_async(agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any) -> AgentHandle:
    """Start a run without keeping the event loop waiting; see `AgentRuntime.start`."""
    return await (runtime or shared_runtime()).start_async(agent, prompt, **options)


async def run_async(agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any) -> AgentResult:
    """Start a run and wait for its result on an event loop; see `AgentRuntime.run_async`."""
    return await (runtime or shared_runtime()).run_async(agent, prompt, **options)


async def stream_async(
    agent: Agent, prompt: str, *, runtime: AgentRuntime | None = None, **options: Any
) -> AsyncIterator[Event]:
    """Start a run and iterate over its events with `async for`; see `AgentRuntime.stream_async`."""
    async for event in (runtime or shared_runtime()).stream_async(agent, prompt, **options):
        yield event
