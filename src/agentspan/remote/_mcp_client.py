"""Sessions with MCP servers: one for each server in a process, on an event loop of their own."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.auth import OAuthFlowError
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED, CallToolResult

from agentspan import forks
from agentspan.declare.credentials import Credentials
from agentspan.declare.tool import ToolContext
from agentspan.errors import DefinitionError, ToolFailed
from agentspan.remote._mcp_call import Call, Refusal, key_in
from agentspan.remote._mcp_oauth import Authorisation, Tokens
from agentspan.remote._mcp_results import text_of, value_of
from agentspan.remote.environment import filled, keep_discreet, placed
from agentspan.remote.mcp import Listed, McpServer

log: logging.Logger = logging.getLogger("agentspan.remote")

CONNECT = 30.0
"""Seconds that a server may take to begin a session and say which tools it has."""

CLOSE = 3.0
"""Seconds that the sessions get to end when the process does."""

PAGES = 100
"""Pages of a server's list of tools that are read, so that one without an end holds nobody up."""

FRESH = 60.0
"""Seconds after which a server is asked again for its tools before a call: it may have others, or be gone."""


async def listed(server: McpServer, credentials: Credentials) -> list[Listed]:
    """The tools that a server has now, asked in a session of its own.

    Raises:
        DefinitionError: It cannot be asked.
    """
    tokens = Tokens()
    try:
        async with asyncio.timeout(CONNECT), _client(server, credentials, tokens) as client:
            return await _tools_of(client)
    except Exception as error:  # noqa: BLE001 - whatever transports raise, it cannot be asked
        said = _said(tokens.failure or error, credentials)
        raise DefinitionError(
            f"The MCP server {server.name} cannot be asked for its tools: {said}",
            hint="An agent is declared with the tools that the server has: start it, or look at its address.",
        ) from None


async def call(
    server: McpServer,
    credentials: Credentials,
    tool: Listed,
    arguments: dict[str, Any],
    context: ToolContext | None,
) -> object:
    """What a tool of a server gives, asked in this process's session with it."""
    return await asyncio.wrap_future(_sessions.call(Call(server, credentials, tool, arguments, context)))


@asynccontextmanager
async def _client(
    server: McpServer,
    credentials: Credentials,
    tokens: Tokens,
    on_refusal: Callable[[httpx2.Response], None] = lambda _: None,
) -> AsyncIterator[Client]:
    """Open a session.

    Args:
        server: With which server.
        credentials: What it is spoken to with.
        tokens: Where tokens are noted that it is spoken to with beside them.
        on_refusal: Called with each answer of HTTP that says that something is wrong.
    """

    async def look(response: httpx2.Response) -> None:
        if response.status_code >= 400:
            on_refusal(response)

    headers = {name: filled(value, credentials) for name, value in server.headers}
    what = f"The MCP server {server.name}"
    url = filled(placed(server.url, what), credentials)
    auth = None if server.auth is None else Authorisation(server.auth, url, credentials, tokens, what)
    if server.transport == "stdio":
        command, *args = [filled(word, credentials) for word in server.command]
        env = {name: filled(value, credentials) for name, value in server.env}
        program = StdioServerParameters(command=command, args=args, env=env, cwd=server.cwd)
        with _stderr() as errors:
            async with Client(stdio_client(program, errlog=errors)) as client:
                yield client
    elif server.transport == "sse":
        async with Client(sse_client(url, headers=headers, auth=auth), mode="legacy") as client:
            yield client
    else:
        timeout = httpx2.Timeout(CONNECT, read=None)
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, event_hooks={"response": [look]}) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            yield client


@contextmanager
def _stderr() -> Iterator[TextIO]:
    """Where a server's own log goes: to that of this process, also where `sys.stderr` is no file, as in notebooks."""
    try:
        file = os.fdopen(os.dup(2), "w")
    except OSError:  # closed, as daemons have it
        file = open(os.devnull, "w")  # noqa: SIM115 - closed below
    with file:
        yield file


async def _tools_of(client: Client) -> list[Listed]:
    found: list[Listed] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        found += [Listed(each.name, each.description or each.title or "", each.input_schema) for each in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


_tasks: set[asyncio.Task[None]] = set()
"""Of sessions, also while they close: a loop does not keep them by itself."""


class _Session:
    """A session with a server, held by a task that opens and closes it."""

    def __init__(self, server: McpServer, credentials: Credentials) -> None:
        self._server = server
        self.credentials = credentials
        self.tokens = Tokens()
        self._over = asyncio.Event()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened.add_done_callback(lambda opened: opened.cancelled() or opened.exception())  # it has been seen
        self._task = asyncio.create_task(self._hold())
        _tasks.add(self._task)
        self._task.add_done_callback(_tasks.discard)
        self._looked = 0.0
        self._calls = 0
        self._retired = False
        self.tools: dict[str, Listed] = {}
        self.told: list[Listed] = []
        self.refused: dict[str, Refusal] = {}
        self.lost = False

    async def usable(self) -> bool:
        """Whether it is open; one that was not looked at for a while is tried."""
        if self._opened.done() and not self._over.is_set() and time.monotonic() - self._looked > FRESH:
            try:
                async with asyncio.timeout(CONNECT):
                    await self.look()
            except TimeoutError:
                if not self._calls:  # else it is busy with them, and they are not to be broken off
                    self.end()
            except Exception as error:  # noqa: BLE001 - whatever transports raise, it is of no use
                log.debug(
                    "The session with the MCP server %s is gone: %s", self._server.name, _said(error, self.credentials)
                )
                self.end()
        return not self._over.is_set()

    async def look(self) -> None:
        """Ask which tools there are now."""
        self._looked = time.monotonic()
        self.tools = {each.name: each for each in await _tools_of(self._client)}

    def _note(self, response: httpx2.Response) -> None:
        self.lost |= response.status_code == 404 and "mcp-session-id" in response.request.headers
        if key := key_in(response.request):
            self.refused[key] = Refusal.of(response)

    async def opened(self) -> _Session:
        """The session, once it is open.

        Raises:
            ConnectionError: It cannot be opened.
        """
        await asyncio.shield(self._opened)
        return self

    def not_let_in(self) -> Exception | None:
        """What a call meets that no token could be got for; None where that is not so."""
        failure = self.tokens.failure
        if failure is None:
            return None
        said = f"The MCP server {self._server.name} cannot be entered: {_said(failure, self.credentials)}"
        return ToolFailed(said) if isinstance(failure, OAuthFlowError) else ConnectionError(said)

    def end(self) -> asyncio.Task[None]:
        """Close it; calls in it break off."""
        self._over.set()
        return self._task

    async def call(self, given: Call) -> CallToolResult:
        async def show(progress: float, total: float | None, message: str | None) -> None:
            await given.show(progress, total, self.tokens.masked(message))

        self._calls += 1
        try:
            return await self._client.call_tool(
                given.tool.name, given.arguments, progress_callback=show, meta=given.meta
            )
        finally:
            self._calls -= 1
            if self._retired and self._calls == 0:
                self.end()

    def retire(self) -> None:
        """Close it once the calls in it are over."""
        self._retired = True
        if self._calls == 0:
            self.end()

    async def _hold(self) -> None:
        try:
            async with (
                asyncio.timeout(CONNECT) as opening,
                _client(self._server, self.credentials, self.tokens, self._note) as self._client,
            ):
                await self.look()
                opening.reschedule(None)
                self._opened.set_result(None)
                await self._over.wait()
        except Exception as error:  # noqa: BLE001 - whatever transports raise, the session is over
            said = _said(error, self.credentials)
            if self._opened.done():
                log.debug("The session with the MCP server %s ended: %s", self._server.name, said)
            elif isinstance(error, ToolFailed):  # nothing says where it is
                self._opened.set_exception(error)
            else:
                unreached = ConnectionError(f"The MCP server {self._server.name} cannot be reached: {said}")
                self._opened.set_exception(self.not_let_in() or unreached)
        finally:
            self._over.set()
            self._opened.cancel()


@dataclass
class _Sessions:
    """The sessions of this process. Calls come from any thread and loop."""

    _loop: asyncio.AbstractEventLoop | None = None
    _open: dict[McpServer, _Session] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    __hash__ = object.__hash__

    def call(self, given: Call) -> Future[object]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="agentspan-mcp", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(self._call(given), self._loop)

    def close(self) -> None:
        """End all sessions, and the processes that were started for them."""
        if self._loop is not None and self._open:
            try:
                asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(CLOSE)
            except TimeoutError:
                log.debug("Not all MCP servers let go in time.")

    def after_fork(self) -> None:
        """Begin anew: the sessions and their loop are the parent's."""
        self._loop, self._open, self._lock = None, {}, threading.Lock()

    async def _close(self) -> None:
        await asyncio.wait([session.end() for session in self._open.values()])

    async def _call(self, given: Call, *, again: bool = True) -> object:
        server = given.server
        session = await self._session(given)
        try:
            if given.tool.name not in session.tools:  # it may have come meanwhile
                await session.look()
            _check_there(server, given.tool, session)
            result = await session.call(given)
        except MCPError as error:
            if session.lost and again:  # so the server has not taken the call
                session.end()
                return await self._call(given, again=False)
            if session.lost or error.code == CONNECTION_CLOSED:
                raise self._broken(session, given, error) from None
            if refusal := session.refused.pop(given.key, None):
                raise session.not_let_in() or refusal.as_error(server.name) from None
            refused = f"The MCP server {server.name} refused the call: {_said(error, given.credentials)}"
            raise session.not_let_in() or ToolFailed(refused) from None
        except (RuntimeError, ValueError) as error:  # what it answers is not what its tool, or the protocol, promises
            raise ToolFailed(
                f"The MCP server {server.name} answered wrongly: {_said(error, given.credentials)}"
            ) from None
        except (OSError, httpx2.HTTPError) as error:
            raise self._broken(session, given, error) from None
        if result.is_error:
            said = session.tokens.masked(text_of(result))
            raise ToolFailed(said or f"The MCP server {server.name} says that the call failed.")
        return session.tokens.masked(value_of(result))

    async def _session(self, given: Call) -> _Session:
        found = self._open.get(given.server)
        current = found is not None and dict(found.credentials) == dict(given.credentials)
        if found is not None and not current:
            found.retire()
        usable = current and found is not None and await found.usable()
        if not usable and self._open.get(given.server) is found:  # else another call has opened one meanwhile
            self._open[given.server] = _Session(given.server, given.credentials)
        return await self._open[given.server].opened()

    def _broken(self, session: _Session, given: Call, error: Exception) -> ConnectionError:
        session.end()
        return ConnectionError(
            f"The session with the MCP server {given.server.name} broke: {_said(error, given.credentials)}"
        )


def _check_there(server: McpServer, tool: Listed, session: _Session) -> None:
    """Refuse a call of a tool that is gone, and tell the operator of one that has changed."""
    now = session.tools.get(tool.name)
    if now is None:
        there = ", ".join(session.tools) or "none"
        raise ToolFailed(f"The MCP server {server.name} no longer has the tool {tool.name}. It has: {there}.")
    if now.fingerprint != tool.fingerprint and tool not in session.told:
        session.told.append(tool)
        log.warning(
            "The MCP server %s describes its tool %s otherwise than when the agent was declared: declare it again.",
            server.name,
            tool.name,
        )


def _said(error: BaseException, credentials: Credentials) -> str:
    """What went wrong, without the values of secrets: the innermost of errors in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError) and not str(error):
        return f"it did not answer within {CONNECT:g} s"
    text = str(credentials.masked(str(error)))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


keep_discreet("httpx2", "mcp.client.sse", "mcp.client.stdio", "mcp.client.streamable_http")
_sessions = _Sessions()
forks.tell(_sessions)
atexit.register(_sessions.close)
