"""`agentspan server`: the embedded Conductor server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentspan._distribution import add_extra
from agentspan.cli._output import F, Output, emit, emit_all, output_option
from agentspan.cli._progress import show_progress
from agentspan.config import DEFAULT_PORT, PORT_VARIABLE
from agentspan.errors import AgentspanError

if TYPE_CHECKING:
    from agentspan.server import LocalServer, ServerState

_LOG_POLL = 0.3

_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="AGENTSPAN_DATA_DIR",
    help="Folder with the server's database and log.  [default: one in your data folder]",
)


def port_option(command: F) -> F:
    """Give a command `--port`, where the server is to listen."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=DEFAULT_PORT,
        show_default=True,
        envvar=PORT_VARIABLE,
        show_envvar=True,
        help="0 takes a free one.",
    )(command)


@click.group("server")
def server_group() -> None:
    """Run a Conductor server on this machine.

    It is a stock Conductor OSS server with an SQLite database, reachable from this machine only. The first start
    downloads it and prepares it, which takes a minute or two.
    """


@server_group.command("start")
@port_option
@_data_dir
@output_option
def start(port: int, data_dir: Path | None, output: Output) -> None:
    """Start the server and wait until it is ready.

    It goes on when this command and its terminal are gone; `agentspan server stop` ends it. Model providers are
    enabled by their keys in the environment, such as OPENAI_API_KEY.
    """
    server = _server(data_dir, port)
    with show_progress() as on_progress:
        server.prepare(on_progress)
        state = server.start(on_progress)
    _show(state, output)


@server_group.command("stop")
@_data_dir
@output_option
def stop(data_dir: Path | None, output: Output) -> None:
    """Stop the server. Runs in progress go on when it is started again."""
    stopped = _server(data_dir).stop()
    if output == "text":
        click.echo("server stopped" if stopped else "no server was running")
    else:
        emit({"stopped": stopped}, output)


@server_group.command("status")
@_data_dir
@output_option
def status(data_dir: Path | None, output: Output) -> None:
    """Say whether the server is running, and where."""
    _show(_server(data_dir).status(), output)


@server_group.command("logs")
@click.option("-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="How many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@_data_dir
@output_option
def logs(lines: int, follow: bool, data_dir: Path | None, output: Output) -> None:
    """Print the end of the server's log."""
    server = _server(data_dir)
    start_at = server.log.stat().st_size if server.log.exists() else 0
    wanted = chain(server.logs(lines), _added(server.log, start_at) if follow else ())
    if output == "text":
        for line in wanted:
            click.echo(line)
    else:
        emit_all(({"line": line} for line in wanted), "jsonl" if follow else output)


def _server(data_dir: Path | None, port: int = DEFAULT_PORT) -> LocalServer:
    """Describe the server; imported here so that `agentspan --help` does not wait for an HTTP library."""
    try:
        from agentspan.server import LocalServer  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise AgentspanError(f"the embedded server needs the package {error.name}", hint=add_extra("server")) from error
    return LocalServer(data_dir, port)


def _show(state: ServerState | None, output: Output) -> None:
    if output != "text":
        emit({"running": False} if state is None else {"running": True, **state.as_dict()}, output)
    elif state is None:
        click.echo("no server is running")
    else:
        click.echo("\n".join(_describe(state)))


def _describe(state: ServerState) -> Iterator[str]:
    condition = "RUNNING" if state.healthy else "NOT ANSWERING"
    yield f"{condition}  {state.url}  Conductor {state.version}  process {state.pid}"
    yield f"models   {', '.join(state.providers) or 'none: set a key such as OPENAI_API_KEY, then stop and start'}"
    yield f"data     {state.data_dir}"
    yield f"log      {state.log}"


def _added(path: Path, position: int) -> Iterator[str]:
    """Yield the lines that are added to the file after `position`, for ever."""
    while True:
        if path.exists():
            if path.stat().st_size < position:  # a new log was begun
                position = 0
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):  # still being written
                        break
                    position += len(line)
                    yield line.decode(errors="replace").rstrip("\n")
        time.sleep(_LOG_POLL)
