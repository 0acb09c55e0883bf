"""AgentRuntime: registers, starts and serves agents on one server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Unpack, cast, overload

from agentspan import blocking
from agentspan._distribution import warn_of_mixed_files
from agentspan.compat import AgentConfig, RuntimeSettings, as_settings, plan
from agentspan.config import Settings, load_settings
from agentspan.control.claims import start_once
from agentspan.control.registry import Registering, is_in_worker, registered_version
from agentspan.declare.agent import Agent, with_dependencies
from agentspan.declare.content import Prompt
from agentspan.declare.output import Typed
from agentspan.engine.client import Conductor
from agentspan.errors import InputError
from agentspan.reading.events import AnyEvent
from agentspan.reading.result import AgentResult
from agentspan.runtime import aio, sessions
from agentspan.runtime.by_id import ById
from agentspan.runtime.callbacks import Callbacks
from agentspan.runtime.handle import AgentHandle
from agentspan.runtime.inbox import Inbox
from agentspan.runtime.inputs import check_key, check_state, files_refused, preceded, run_input
from agentspan.runtime.local import start_local
from agentspan.runtime.options import StartOptions
from agentspan.runtime.progress import ProgressLine
from agentspan.runtime.serving import DRAIN, Serving, wait_for
from agentspan.runtime.stream import EventStream
from agentspan.runtime.waiting import check_timeout
from agentspan.telemetry.traces import TRACES
from agentspan.worker.tokens import Listeners
from agentspan.worker.unpriced import warn_of_unpriced

log: logging.Logger = logging.getLogger("agentspan")


class AgentRuntime(ById, Inbox):
    """A connection to a Conductor server, and the worker host of this process for it.

    Args:
        server_url: The server's address, with or without `/api`; default: `configure()`, then
            AGENTSPAN_SERVER_URL, then http://127.0.0.1:6767. When nobody has named one and none runs there, the
            first request starts the embedded server, which then outlives this process; see the setting `autostart`.
        config: Settings under upstream's names; what is given beside it wins.
        **settings: Other fields of `Settings`, or `profile="…"` for those of a profile of the user's file.
            `api_key` and `api_secret` are other names of `auth_key` and `auth_secret`.

    As a context manager it stops its worker host at the end of the block: running calls finish,
    the rest is handed back. Runs themselves go on.

    Raises:
        ConfigError: A setting makes no sense.
    """

    def __init__(
        self, server_url: str | None = None, *, config: AgentConfig | None = None, **settings: Unpack[RuntimeSettings]
    ) -> None:
        warn_of_mixed_files(log)
        self.settings: Settings = load_settings(**as_settings({"server_url": server_url, **settings}, config))
        on_absent = partial(start_local, self.settings) if self.settings.autostart else None
        self.client: Conductor = Conductor(self.settings, on_absent)
        self.listeners: Listeners = Listeners(self.client)
        self._serving = Serving(self.client, self.listeners, self.settings.concurrency)
        self._registering = Registering(self.client, self.settings.model_place)

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

    def register(self, agent: Agent[Any]) -> int:
        """Put the agent's definitions on the server; the version that holds exactly this content.

        The same content keeps its version, other content gets the next one; runs keep theirs.

        Raises:
            Conflict: The name belongs to a definition that is not an agent's.
            ServerError: The server cannot be reached, or refuses.
        """
        return self._versions(agent)[agent.name]

    def _versions(self, agent: Agent[Any]) -> dict[str, int]:
        warn_of_unpriced(agent)
        return self._registering.versions(agent)

    def plan(self, agent: Agent[Any]) -> dict[str, Any]:
        """What an agent is on a server, by this runtime's settings; nothing is sent. See `agentspan.agents.plan`."""
        return plan(self._registering.placed(agent))

    def start(
        self,
        agent: Agent[Typed] | str,
        prompt: Prompt,
        *,
        version: int | None = None,
        messages: list[dict[str, str]] | None = None,
        context: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        session_id: str | None = None,
        serve: bool = True,
    ) -> AgentHandle[Typed]:
        """Start a run and return as soon as the server has stored it.

        Args:
            agent: What to run: an agent, or the name of one that is registered already, whose tools others serve.
            version: Which version of a registered agent; the newest unless given.
            prompt: The user's message: a text; a list of texts, `Image` and `File` where a worker calls the model.
            messages: The conversation before it: `{"role": "user" | "assistant", "message": …}`.
            context: Values kept with the run for its readers; the model does not see them.
            idempotency_key: Start one run for this key and agent, however often and from however many processes
                it is asked for; later calls get the handle of that run, whatever has become of it. Two runs are
                possible only when a process stands still for a minute in the middle of its start.
            session_id: Go on with the conversation of this agent's last run of the same id that has an answer, or with
                as much of it as the agent's context budget keeps. `messages` come after it.
            serve: Serve the run's calls with this agent's very tools from this process, in the background. Runs that
                other processes started are left to `serve()`, unless the tools hold no values of this one.

        Raises:
            InputError: The prompt, the messages or the context cannot be carried intact, or the state of the run cannot
                begin with that context; nothing was sent.
            NotFound: No agent of that name, or version, is registered.
            ServerError: The server cannot be reached, or refuses.
        """
        agent = agent if isinstance(agent, str) else cast("Agent[Typed]", self._registering.placed(agent))
        name = agent if isinstance(agent, str) else agent.name
        inputs = run_input(prompt, messages, context)
        check_key(idempotency_key, session_id)
        if isinstance(agent, Agent):
            check_state(agent, context)
        session = None if session_id is None else sessions.correlation_of(session_id)
        with TRACES.starting(name) as started:
            inputs |= started.inputs | ({} if session is None else {"session_id": session_id})
            inputs = preceded(inputs, sessions.before(self.client, agent, session))
            exact = self._exact_version(agent, version)
            if "content" in inputs and not is_in_worker(self.client, agent, exact):
                raise files_refused(name)
            begin = partial(self._begin, name, exact, inputs, idempotency_key, session)
            if serve and isinstance(agent, Agent) and agent.needs_worker:
                versions = self._versions(agent)
                started.execution_id = self._serving.host().serve_run(agent, versions, begin)
            else:
                started.execution_id = begin()
        return AgentHandle(started.execution_id, self, agent if isinstance(agent, Agent) else None)

    def _exact_version(self, agent: Agent[Any] | str, version: int | None) -> int:
        if isinstance(agent, str):
            return registered_version(self.client, agent, version)
        if version is not None:
            raise InputError("version goes with the name of a registered agent; an agent itself has one by its content")
        return self.register(agent)

    def _begin(self, name: str, version: int, inputs: dict[str, Any], key: str | None, session: str | None) -> str:
        if key is None:
            return self.client.start_workflow(name, version, inputs, session)
        return start_once(self.client, name, version, inputs, key)

    def run(
        self,
        agent: Agent[Typed] | str,
        prompt: Prompt,
        *,
        timeout: float | None = None,
        **options: Unpack[StartOptions],
    ) -> AgentResult[Typed]:
        """Start a run and wait for its result; see `start` and `AgentHandle.result`.

        When stderr is a terminal, a line there shows what the run is doing, unless the setting `progress` is off.
        """
        blocking.check("run()")
        check_timeout(timeout)  # before a run is there that nobody waits for
        handle = self.start(agent, prompt, **options)
        with ProgressLine(handle) if self.settings.progress else nullcontext():
            if isinstance(agent, Agent) and agent.callbacks:
                return Callbacks(agent.callbacks, agent.name).follow(handle.stream(timeout=timeout))
            return handle.result(timeout)

    def stream(
        self, agent: Agent[Typed] | str, prompt: Prompt, *, tokens: bool = False, **options: Unpack[StartOptions]
    ) -> EventStream[Typed]:
        """Start a run and iterate over its events; see `start` and `AgentHandle.stream`."""
        with self.listeners.starting() if tokens else nullcontext():
            return self.start(agent, prompt, **options).stream(tokens=tokens)

    async def start_async(
        self, agent: Agent[Typed] | str, prompt: Prompt, **options: Unpack[StartOptions]
    ) -> AgentHandle[Typed]:
        """Start a run without keeping the event loop waiting; see `start`."""
        return await aio.in_thread(partial(self.start, agent, prompt, **options))

    async def run_async(
        self,
        agent: Agent[Typed] | str,
        prompt: Prompt,
        *,
        timeout: float | None = None,
        **options: Unpack[StartOptions],
    ) -> AgentResult[Typed]:
        """Start a run and wait for its result on an event loop; see `run`.

        When it is cancelled, it waits no more; the run goes on.
        """
        check_timeout(timeout)
        handle = await self.start_async(agent, prompt, **options)
        if isinstance(agent, Agent) and agent.callbacks:
            return await Callbacks(agent.callbacks, agent.name).follow_async(handle.stream(timeout=timeout))
        return await handle.result_async(timeout)

    async def stream_async(
        self, agent: Agent[Typed] | str, prompt: Prompt, *, tokens: bool = False, **options: Unpack[StartOptions]
    ) -> AsyncIterator[AnyEvent]:
        """Start a run and iterate over its events with `async for`; see `stream`."""
        with await aio.in_thread(partial(self.stream, agent, prompt, tokens=tokens, **options)) as events:
            async for event in events:
                yield event

    def serve(self, *agents: Agent[Any], blocking: bool = True, drain: float = DRAIN, dependencies: Any = None) -> None:
        """Register the agents and serve their tools.

        Args:
            *agents: The agents whose tools this process implements.
            blocking: Return only after SIGTERM, Ctrl-C or `shutdown()`, when running calls have finished; else
                serve in the background until the runtime is shut down or the process ends. Signals reach a program's
                main thread only: in another one it waits for `shutdown()`.
            drain: Seconds that running calls get after SIGTERM or Ctrl-C; the rest is handed back then.
            dependencies: Live objects for the agents' tools: `ToolContext.dependencies`, in place of those of
                `Agent(dependencies=…)`.
        """
        stopped = self._serving.ends()
        for agent in map(self._registering.placed, agents):
            versions = self._versions(agent)
            if agent.needs_worker:
                served = agent if dependencies is None else with_dependencies(agent, dependencies)
                self._serving.host().serve(served, versions)
        if blocking:
            wait_for(stopped)
            self.shutdown(drain)

    @overload
    def handle(self, execution_id: str) -> AgentHandle[Any]: ...
    @overload
    def handle(self, execution_id: str, output_type: Agent[Typed] | type[Typed]) -> AgentHandle[Typed]: ...
    @overload
    def handle(self, execution_id: str, output_type: Any) -> AgentHandle[Any]: ...
    def handle(self, execution_id: str, output_type: Any = None) -> AgentHandle[Any]:
        """A run on this server, by its id.

        Args:
            execution_id: The run.
            output_type: The type of its answer, or its agent; without it, the answer is as it is stored: text, or JSON.
        """
        return AgentHandle(execution_id, self, output_type)

    def resume(self, execution_id: str, agent: Agent[Typed]) -> AgentHandle[Typed]:
        """Come back to a run: serve its agent's tools in the background, and give the run's handle."""
        self.serve(agent, blocking=False)
        return self.handle(execution_id, agent)

    def deploy(self, *agents: Agent[Any]) -> dict[str, int]:
        """Register agents without starting anything; the version of each, by its name."""
        return {agent.name: self.register(agent) for agent in agents}

    def shutdown(self, timeout: float = DRAIN) -> None:
        """Stop serving: running calls get `timeout` seconds to finish, the rest is handed back."""
        self._serving.stop(timeout)
