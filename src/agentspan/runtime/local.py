"""The server of this machine, started for a program that names no server and finds none."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from agentspan import server
from agentspan._distribution import add_extra
from agentspan.config import DEFAULT_PORT, Settings
from agentspan.errors import ServerUnreachable


def start_local(settings: Settings) -> None:
    """Start the embedded server at the settings' address, and say so on stderr; it outlives this process.

    Of several programs that do so at once one starts it, and the others wait until it is well.

    Raises:
        ServerUnreachable: The extra `server` is not installed, or the server of the data folder runs elsewhere.
        LocalServerError: It cannot be fetched or started.
    """
    local = _described(settings)
    told = _Told(local.url)
    if local.status() is None:
        local.prepare(told)
    state = local.start(told)
    if state.url != settings.base_url:
        raise ServerUnreachable(
            f"No Conductor server answers at {settings.address}: the one of {state.data_dir} runs at {state.url}.",
            hint=f"Set AGENTSPAN_SERVER_URL={state.url}, or end it with `agentspan server stop`.",
        )


def _described(settings: Settings) -> server.LocalServer:
    try:
        return server.LocalServer(port=urlsplit(settings.base_url).port or DEFAULT_PORT)
    except ModuleNotFoundError as error:
        raise ServerUnreachable(
            f"No Conductor server answers at {settings.address}, and to start one the package {error.name} is missing.",
            hint=f"{add_extra('server')} adds what a server on this machine needs; or set AGENTSPAN_SERVER_URL.",
        ) from error


class _Told:
    """Says what the start is doing, each stage once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stages: set[str] = set()

    def __call__(self, stage: str, _done: int | None = None, _total: int | None = None, /) -> None:
        if stage in self._stages:
            return
        self._stages.add(stage)
        more = " …"
        if stage == server.STARTING:
            more = f" at {self._url}; it outlives this program, and `agentspan server stop` ends it"
        sys.stderr.write(f"agentspan: {stage}{more}\n")
        sys.stderr.flush()
