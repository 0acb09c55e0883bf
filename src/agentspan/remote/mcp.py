"""The tools of MCP servers: which there are is read when they are declared, calls are made by workers."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import threading
from collections.abc import Awaitable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, Protocol, cast
from urllib.parse import urlsplit

from agentspan.declare.credentials import Credentials
from agentspan.declare.policy import Retry, check_count
from agentspan.declare.tool import Tool, ToolContext, current_tool_context
from agentspan.declare.toolset import Toolset, toolset
from agentspan.errors import AgentspanError, ConfigError, DefinitionError, ToolFailed
from agentspan.remote.environment import at_declaration, behind_host, handed, names_in
from agentspan.remote.oauth import OAuthClient
from agentspan.schema.foreign import fingerprint, given_arguments, name_for_models

Transport = Literal["http", "sse", "stdio"]

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class McpServer:
    """Where an MCP server is. Texts may say `${NAME}` for a credential of the worker.

    Attributes:
        name: What messages call it.
        transport: How it is spoken to.
        url: Where it listens; empty of one that is started.
        command: What starts it, speaking on its standard streams; empty of one that listens.
        headers: Sent with every request.
        env: Variables for the process.
        cwd: Its folder.
        auth: What gets the tokens that it wants.
    """

    name: str
    transport: Transport
    url: str = ""
    command: tuple[str, ...] = ()
    headers: Pairs = field(default=(), repr=False)
    env: Pairs = field(default=(), repr=False)
    cwd: str | None = None
    auth: OAuthClient | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the secrets that it is spoken to with: all in its texts, but for one by which the URL begins."""
        values = [value for _, value in (*self.headers, *self.env)]
        named = names_in(behind_host(self.url), *self.command, *values)
        return named if self.auth is None else tuple(dict.fromkeys((*named, *self.auth.credentials)))


@dataclass(frozen=True)
class Listed:
    """A tool as its MCP server describes it."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        # Many are docstrings, which Python 3.13 dedents: another Python is no other tool.
        object.__setattr__(self, "description", cleandoc(self.description))

    @property
    def fingerprint(self) -> str:
        """Changes with what models are told of it."""
        return fingerprint(self.name, self.description, self.parameters)


class Client(Protocol):
    """The module that speaks to MCP servers; loaded with the first one."""

    async def listed(self, server: McpServer, credentials: Credentials) -> list[Listed]:
        """The tools that a server has now, asked in a session of its own."""

    async def call(
        self,
        server: McpServer,
        credentials: Credentials,
        tool: Listed,
        arguments: dict[str, Any],
        context: ToolContext | None,
    ) -> object:
        """What a tool of a server gives, asked in this process's session with it."""


@dataclass(frozen=True)
class McpCall:
    """Calls one tool of an MCP server; it stands where a tool's function stands."""

    server: McpServer
    tool: Listed

    async def __call__(self, /, **arguments: Any) -> object:
        """What the tool gives: its structured content, or its text, with images and files among it.

        Raises:
            ToolFailed: The server says that the call failed, or refuses it; a credential is not there.
            ConnectionError: The server cannot be reached, or the connection broke.
        """
        credentials = handed(self.server.credentials, f"The MCP server {self.server.name}")
        try:
            return await _client().call(self.server, credentials, self.tool, arguments, current_tool_context())
        except ConfigError as error:
            raise ToolFailed(error.message) from None


def mcp_tool(
    server_url: str | None = None,
    name: str | None = None,
    description: str | None = None,
    headers: Mapping[str, str] | None = None,
    tool_names: Collection[str] | None = None,
    max_tools: int = 64,
    credentials: Sequence[str] | None = None,
    *,
    auth: OAuthClient | None = None,
    command: str | Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    transport: Transport | None = None,
    prefix: str = "",
    retry: Retry = Retry(),  # noqa: B008 - a frozen value
    timeout: float | None = 60,
    pin: str | Path | None = None,
) -> Toolset:
    """The tools of an MCP server. Needs the extra `mcp`.

        agent = Agent("coder", model="openai/gpt-4o", tools=[
            mcp_tool("https://mcp.example.com/mcp", headers={"Authorization": "Bearer ${MCP_TOKEN}"}),
            mcp_tool(command="npx -y @modelcontextprotocol/server-filesystem /srv/files", prefix="files_"),
        ])

    The server is asked now which tools it has; that is what models are told until the agent is declared again. Calls
    are made by the workers, each process in one session with the server, opened again when it breaks.

    Args:
        server_url: Where it listens. `${NAME}` stands for a credential, here as in `headers`, `command` and `env`: the
            worker that makes the call has it, and it is in no definition, error or result. A name by which the
            address begins is a variable of the worker's environment, and no secret.
        name: What messages call it; by its address or command unless given.
        description: For people who read the script; models are told what the server says of each tool.
        headers: Sent with every request.
        tool_names: The tools to take, by the names that they have there; all unless given.
        max_tools: With more tools than this the declaration is refused: a model is lost among too many.
        credentials: Names of credentials that are kept out of results, beside those that are named in texts.
        auth: Gets and renews the tokens that the server wants by OAuth: an `OAuthClient`. A token that does not
            change goes into `headers`.
        command: In place of an address: the program to start, which speaks MCP on its standard streams.
        env: Variables for that program, beside the few that any gets, such as PATH and HOME.
        cwd: Its folder.
        transport: `"http"` is streamable HTTP, the default for an address; `"sse"` is what older servers speak.
        prefix: Put before the tools' names, for two servers that name tools alike.
        retry: How often a call is tried when the server cannot be reached. What the server answers is final.
        timeout: Whole seconds one attempt may take; None sets no limit.
        pin: A file that keeps what the server says of its tools. It is written where there is none; from then on the
            tools are what it says, and the server is not asked: an agent is the same wherever and whenever it is
            declared, also while the server is down. Delete it to ask again.

    Raises:
        DefinitionError: The server cannot be asked, or has no such tool, or too many.
        ConfigError: The server has to be asked, and the extra `mcp` is not installed or a credential is not there.
    """
    server = _server(server_url, name, headers or {}, auth, command, env or {}, cwd, transport)
    what = f"mcp_tool {server.name!r}"
    check_count(max_tools, f"{what}: max_tools", 1, 10_000)
    found = _pinned(server, None if pin is None else Path(pin), what)
    if tool_names is not None:
        _check_there(tool_names, found, what)
        found = [each for each in found if each.name in tool_names]
    if len(found) > max_tools:
        raise DefinitionError(
            f"{what} has {len(found)} tools, more than max_tools={max_tools}: {', '.join(each.name for each in found)}",
            hint="Choose some of them: tool_names=[…].",
        )
    tools = _tools(server, found)
    policy: dict[str, Any] = {"retry": retry, "timeout": timeout}
    handed_over = (*server.credentials, *(credentials or ()))
    return toolset([replace(each, **policy, credentials=handed_over) for each in tools], prefix=prefix)


def _pinned(server: McpServer, pin: Path | None, what: str) -> list[Listed]:
    """The server's tools: as its file has them, or else as it says itself, which its file keeps."""
    if pin is not None and pin.exists():
        try:
            return [Listed(**each) for each in json.loads(pin.read_text(encoding="utf-8"))["tools"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DefinitionError(
                f"{what}: {pin} cannot be read: {error}", hint="Delete it, to have it written anew."
            ) from error
    found = _asked(_client().listed(server, at_declaration(server.credentials, what)))
    if pin is not None:
        _write(pin, {"server": server.name, "tools": [asdict(each) for each in found]})
    return found


def _write(pin: Path, content: dict[str, Any]) -> None:
    """All at once: other processes may read it now."""
    whole = pin.with_name(f"{pin.name}.{os.getpid()}")
    whole.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    whole.replace(pin)


def _tools(server: McpServer, found: list[Listed]) -> list[Tool[..., Any]]:
    names: list[str] = []
    tools: list[Tool[..., Any]] = []
    for each in found:
        names.append(name_for_models(each.name, names))
        arguments = given_arguments(each.parameters, f"tool {each.name!r} of the MCP server {server.name!r}")
        call = McpCall(server, each)
        tools.append(Tool(call, names[-1], each.description, arguments))
    return tools


def _check_there(names: Collection[str], found: list[Listed], what: str) -> None:
    for name in names:
        if name not in [each.name for each in found]:
            there = ", ".join(each.name for each in found) or "none"
            raise DefinitionError(f"{what} has no tool named {name!r}; it has {there}")


def _server(
    url: str | None,
    name: str | None,
    headers: Mapping[str, str],
    auth: OAuthClient | None,
    command: str | Sequence[str] | None,
    env: Mapping[str, str],
    cwd: str | None,
    transport: Transport | None,
) -> McpServer:
    if bool(url) == bool(command):
        raise DefinitionError(
            f"mcp_tool takes server_url or command, and not {'both' if url else 'neither'}",
            hint="mcp_tool('https://…/mcp'), or mcp_tool(command='program --option').",
        )
    words = tuple(shlex.split(command) if isinstance(command, str) else command or ())
    if transport not in (("stdio", None) if words else ("http", "sse", None)):
        raise DefinitionError(f"mcp_tool: transport is 'http' or 'sse' for an address, not {transport!r}")
    if url and not url.startswith(("http://", "https://", "${")):
        raise DefinitionError(f"mcp_tool: server_url is such as 'https://…/mcp', not {url!r}")
    if auth is not None and (words or not isinstance(auth, OAuthClient)):
        raise DefinitionError(
            "mcp_tool: auth is an OAuthClient, for a server that has an address",
            hint="A program gets its credentials by env=; a token that does not change goes into headers=.",
        )
    if auth is not None and "authorization" in map(str.lower, headers):
        raise DefinitionError("mcp_tool takes auth or the header Authorization, and not both")
    known_as = name or (words[0].rpartition("/")[2] if words else urlsplit(url or "").hostname or str(url))
    return McpServer(
        name=known_as,
        transport="stdio" if words else transport or "http",
        url=url or "",
        command=words,
        headers=tuple(headers.items()),
        env=tuple(env.items()),
        cwd=cwd,
        auth=auth,
    )


def _asked(question: Awaitable[list[Listed]]) -> list[Listed]:
    """An answer from a loop of its own: there may be one in this thread already."""
    answer: Future[list[Listed]] = Future()

    def ask() -> None:
        try:
            answer.set_result(asyncio.run(_awaited(question)))
        except BaseException as error:  # noqa: BLE001 - it belongs to who asks
            answer.set_exception(error)

    threading.Thread(target=ask, name="agentspan-mcp-list", daemon=True).start()
    try:
        return answer.result()
    except AgentspanError as error:  # where the declaration is, and not where the loop of its own was
        raise error.with_traceback(None) from None


async def _awaited(question: Awaitable[list[Listed]]) -> list[Listed]:
    return await question


def _client() -> Client:
    if find_spec("mcp") is None:
        raise ConfigError(
            "MCP servers are spoken to with the extra `mcp`, which is not installed here.",
            hint="pip install 'agents-on-conductor[mcp]'",
        )
    return cast(Client, import_module("agentspan.remote._mcp_client"))
