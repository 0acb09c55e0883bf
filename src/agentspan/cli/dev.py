"""`agentspan dev`: a server and a worker in one terminal; the worker is started anew when a file is saved."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentspan._distribution import add_extra
from agentspan.cli._app import Session
from agentspan.cli._output import example, say
from agentspan.cli._progress import show_progress
from agentspan.cli.server import port_option
from agentspan.config import resolve
from agentspan.errors import AgentspanError

if TYPE_CHECKING:
    from agentspan.server import LocalServer

_DRAIN = 3.0
"""Seconds that running calls get when a file was saved."""

_LOOK = 300
"""Milliseconds between looks at the worker while nothing is saved."""


@click.command("dev", epilog=example("agentspan dev support.py:agent"))
@click.argument("targets", metavar="MODULE:AGENT...", nargs=-1, required=True)
@port_option
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="AGENTSPAN_DATA_DIR",
    show_envvar=True,
    help="Folder with the server's database and log.  [default: that of `agentspan server`]",
)
@click.pass_obj
def dev(session: Session, targets: tuple[str, ...], port: int, data_dir: Path | None) -> None:
    """Run a server and a worker here, and reload the worker when a file is saved.

    The server is that of `agentspan server start`: where it runs already, or another one is named by --server or a
    setting, that one is used. Python files in this folder and in those of the agents are watched; calls that run while
    one is saved get 3 s, then the new worker takes them over. Ctrl-C stops what this command has started; runs go on
    when it is started again.
    """
    try:
        from watchfiles import PythonFilter, watch  # noqa: PLC0415

        from agentspan.demo.stage import cleaned_up  # noqa: PLC0415 - needs an extra
        from agentspan.server import LocalServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise AgentspanError(f"dev needs the package {error.name}", hint=add_extra("dev")) from error
    with cleaned_up() as stack:
        try:
            url = _named_server(session) or _start(LocalServer(data_dir, port), stack)
            say(f"Server   {url}, which is also the address of its user interface")
            worker = _Worker(url, targets)
            stack.callback(worker.stop)
            worker.start()
            saved = watch(*_folders(targets), watch_filter=PythonFilter(), rust_timeout=_LOOK, yield_on_timeout=True)
            for changes in saved:
                if changes:
                    say(f"Saved    {', '.join(sorted({Path(path).name for _, path in changes}))}")
                    worker.restart()
                worker.look()
        except KeyboardInterrupt:
            say("Stopping.")


def _named_server(session: Session) -> str | None:
    """The server that was named somewhere; None where the default holds."""
    settings = resolve(profile=session.profile, server_url=session.server_url)
    found = next(setting for setting in settings if setting.name == "server_url")
    return None if found.source == "default" else str(found.value)


def _folders(targets: Sequence[str]) -> list[Path]:
    """Where the code of the agents is: this folder, and those of the files."""
    files = [Path(target.partition(".py")[0]) for target in targets if ".py" in target]
    found = {Path.cwd(), *(file.absolute().parent for file in files)}
    return sorted(folder for folder in found if folder.is_dir())


def _start(server: LocalServer, stack: ExitStack) -> str:
    """The server's address; it is stopped at the end unless it ran before."""
    running = server.status()
    if running is not None:
        return running.url
    with show_progress() as on_progress:
        server.prepare(on_progress)
        stack.callback(server.stop)
        return server.start(on_progress).url


class _Worker:
    """The worker's process, started anew whenever that is asked for."""

    def __init__(self, url: str, targets: Sequence[str]) -> None:
        options = ["--server", url, "worker", "start", *targets, "--drain", str(_DRAIN)]
        self._command = [sys.executable, "-m", "agentspan", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    def start(self) -> None:
        """Start it; what it says goes to this terminal."""
        self._told = False
        # A session of its own: Ctrl-C is for this process, which then ends the worker politely.
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
        )

    def restart(self) -> None:
        """End it and start it anew, with the code as it is now."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Let its calls finish for a moment, and end it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_DRAIN + 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def look(self) -> None:
        """Say so when it has ended by itself: its code has a fault."""
        if self._process is not None and self._process.poll() is not None and not self._told:
            self._told = True
            say("The worker has ended; it is started again when a file is saved.")
