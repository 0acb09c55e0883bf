"""One embedded server: start it, look at it, stop it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import platformdirs
import requests

from agentspan.config import DEFAULT_PORT
from agentspan.errors import LocalServerError
from agentspan.server import _health
from agentspan.server._aot import aot_flags, ensure_cache
from agentspan.server._engine import Engine
from agentspan.server._java import find_java
from agentspan.server._launch import LOG
from agentspan.server._lock import locked
from agentspan.server._process import await_health, becomes_free, boot, end, free_port, last_lines
from agentspan.server._progress import STARTING, Progress, silent
from agentspan.server._providers import enabled, model_settings
from agentspan.server._record import Record, ServerState

DATA_DIR = "AGENTSPAN_DATA_DIR"


class LocalServer:
    """A Conductor server on this machine, described by the folder that holds its data.

    Every process that names the same folder means the same server. Started as a context manager it is stopped
    at the end, unless it was running before:

        with LocalServer(port=0) as server:
            print(server.url)
    """

    def __init__(
        self,
        data_dir: Path | str | None = None,
        port: int = DEFAULT_PORT,
        model_urls: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a server; nothing is started yet.

        Args:
            data_dir: The folder for its database and log; by default AGENTSPAN_DATA_DIR, else one in the user's data
                folder.
            port: Where it listens on 127.0.0.1. 0 takes a free one and keeps it for later starts.
            model_urls: Addresses of model providers, e.g. `{"openai": "http://127.0.0.1:8080/v1"}`. A
                provider named here is enabled even without a key.
        """
        self.data_dir: Path = Path(data_dir or _usual_folder()).absolute()
        self._port = port
        self._model_urls = dict(model_urls or {})
        self._stops_on_exit = False

    def __repr__(self) -> str:
        return f"LocalServer({str(self.data_dir)!r}, port={self._port})"

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        """The file that the server writes its warnings to."""
        return self.data_dir / LOG

    def prepare(self, on_progress: Progress | None = None) -> None:
        """Do once what makes every later start quick; does nothing where it was done.

        Fetches the server and records an ahead-of-time cache for Java, which takes half a minute or more. `start`
        works without it, but then takes three times as long.

        Args:
            on_progress: Told what is being done.

        Raises:
            LocalServerError: The server cannot be fetched.
        """
        java, engine, progress = find_java(), Engine.in_cache(), on_progress or silent
        with _writing(engine.folder):
            engine.ensure(java, progress)
            ensure_cache(engine, java, progress)

    def start(self, on_progress: Progress | None = None, wait: float = 120.0) -> ServerState:
        """Start the server, unless it is running, and return once it answers quickly.

        The first start on a machine downloads the server, half a gigabyte; `wait` does not count that.

        Args:
            on_progress: Told what is being done.
            wait: Seconds within which the server must be well.

        Raises:
            LocalServerError: It cannot be fetched or started; nothing is left running.
        """
        with _writing(self.data_dir):
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.data_dir / "server.lock"):
                running = self._running()
                if running is None:
                    running = self._start(on_progress or silent, wait)
                else:
                    await_health(running, self.log, wait)
                return self._state(running, healthy=True)

    def stop(self, timeout: float = 20.0) -> bool:
        """Stop the server; return whether there was one.

        Runs in progress are not lost: they go on when it is started again.

        Args:
            timeout: Seconds to let it finish what it is doing before it is killed.

        Raises:
            LocalServerError: It belongs to another user, or does not end.
        """
        record = Record.read(self.data_dir)
        ended = record is not None and end(record, timeout)
        Record.remove(self.data_dir)
        return ended

    def status(self) -> ServerState | None:
        """Return the state of the running server, or None when it is not running."""
        record = self._running()
        return self._state(record, healthy=bool(_health.read_health(record.url))) if record else None

    def logs(self, lines: int = 50) -> list[str]:
        """Return the last lines of the log, oldest first."""
        return last_lines(self.log, lines)

    def __enter__(self) -> Self:
        self._stops_on_exit = self._running() is None
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stops_on_exit:
            self.stop()

    def _running(self) -> Record | None:
        record = Record.read(self.data_dir)
        if record is None or record.process() is None:
            return None
        self._port = record.port
        return record

    def _start(self, progress: Progress, wait: float) -> Record:
        java = find_java()
        engine = Engine.in_cache()
        engine.ensure(java, progress)
        flags = aot_flags(engine, java)
        self._port = self._port or free_port()
        self._refuse_taken_port()
        settings = model_settings(os.environ, self._model_urls)
        progress(STARTING)
        record = boot(
            java,
            engine,
            self.data_dir,
            port=self._port,
            settings=settings,
            providers=enabled(settings),
            flags=flags,
            seconds=wait,
        )
        self._warm_up(record, wait)
        return record

    def _warm_up(self, record: Record, wait: float) -> None:
        try:
            _health.warm_up(record.url, wait)
        except requests.RequestException as error:
            end(record, 0)
            raise LocalServerError(f"the server does not work: {error}", hint=f"see {self.log}") from error
        except BaseException:
            end(record, 0)
            raise

    def _refuse_taken_port(self) -> None:
        if becomes_free(self._port):
            return
        conductor = _health.read_health(self.url) is not None
        owner = "another Conductor server" if conductor else "another program"
        raise LocalServerError(
            f"port {self._port} of 127.0.0.1 is in use by {owner}, not by the one of {self.data_dir}",
            hint="choose another one with --port, or stop that program",
        )

    def _state(self, record: Record, *, healthy: bool) -> ServerState:
        return ServerState(
            url=record.url,
            pid=record.pid,
            port=record.port,
            version=record.version,
            started=record.started,
            providers=record.providers,
            log=self.log,
            data_dir=self.data_dir,
            healthy=healthy,
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalServerError(
            f"the server cannot be kept in {folder}: {error.strerror or error}: {error.filename or folder}",
            hint="the folder must be writable and have space left; --data-dir or AGENTSPAN_DATA_DIR names another one "
            "for the data, XDG_CACHE_HOME one for the server's program",
        ) from error


def _usual_folder() -> Path:
    given = os.environ.get(DATA_DIR)
    return Path(given) if given else platformdirs.user_data_path("agentspan") / "server"
