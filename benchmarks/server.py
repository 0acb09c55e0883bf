"""The server under test, and what it uses of the machine."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import psutil

from agentspan.server import LocalServer
from agentspan.server._engine import Engine
from agentspan.server._java import find_java
from agentspan.server._process import free_port
from agentspan.server._progress import silent

Kind = Literal["embedded", "stock"]

BOOT = 300.0
"""Seconds within which a server must be well, on a busy machine too."""

_COUNT = re.compile(r'^http_server_requests_seconds_count\{.*uri="/api/workflow.*\} (\S+)', re.MULTILINE)


@dataclass(frozen=True)
class Setup:
    """Which server to measure on.

    Attributes:
        kind: The embedded one as agentspan starts it, or the same release with its own defaults.
        properties: Settings on top of those, `name=value`, for a stock server.
    """

    kind: Kind
    properties: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """What the server has used so far.

    Attributes:
        at: When that was seen.
        cpu: Seconds of one core.
        memory: Bytes resident now.
        disk: Bytes of its database.
        requests: Requests about executions; those of workers are not counted.
    """

    at: float
    cpu: float
    memory: int
    disk: int
    requests: float


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    pid: int
    folder: Path

    def is_well(self) -> bool:
        """Whether it lives and says that it is healthy."""
        try:
            return bool(httpx.get(f"{self.url}/health", timeout=20).json().get("healthy"))
        except (httpx.TransportError, ValueError):
            return False

    def cpu(self) -> float:
        """Seconds of one core that it has used."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def usage(self) -> Usage:
        """What it has used until now."""
        memory = psutil.Process(self.pid).memory_info().rss
        disk = sum(path.stat().st_size for path in self.folder.glob("*.db*"))
        return Usage(time.monotonic(), self.cpu(), memory, disk, self._requests())

    def stored_size(self, execution_id: str) -> int:
        """Bytes of one execution as the REST API gives it."""
        answer = httpx.get(f"{self.url}/api/workflow/{execution_id}", timeout=60)
        return len(answer.raise_for_status().content)

    def stored_size_with_parts(self, execution_id: str) -> int:
        """Bytes of an execution and of all that it has begun, as the REST API gives them."""
        answer = httpx.get(f"{self.url}/api/workflow/{execution_id}", timeout=60).raise_for_status()
        begun = {task.get("subWorkflowId") for task in answer.json()["tasks"]} - {None, ""}
        return len(answer.content) + sum(self.stored_size_with_parts(part) for part in begun)

    def terminate(self, execution_id: str) -> None:
        """End an execution that is not to burden what is measured next."""
        with suppress(httpx.TransportError):  # it may not have survived it either
            httpx.delete(f"{self.url}/api/workflow/{execution_id}", timeout=60)

    def _requests(self) -> float:
        metrics = httpx.get(f"{self.url}/actuator/prometheus", timeout=60).text
        return sum(map(float, _COUNT.findall(metrics)))


NO_SERVER = Server("", 0, Path())
"""For what needs none."""


@contextmanager
def running(setup: Setup, model_urls: Mapping[str, str]) -> Iterator[Server]:
    """A server of its own, with an empty database, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="agentspan-benchmark-") as name:
        folder = Path(name)
        embedded = setup.kind == "embedded"
        with _embedded(folder, model_urls) if embedded else _stock(folder, model_urls, setup.properties) as server:
            yield server


@contextmanager
def _embedded(folder: Path, model_urls: Mapping[str, str]) -> Iterator[Server]:
    local = LocalServer(folder, port=0, model_urls=model_urls)
    local.prepare()
    try:
        state = local.start(wait=BOOT)
        yield Server(state.url, state.pid, folder)
    finally:
        local.stop()


@contextmanager
def _stock(folder: Path, model_urls: Mapping[str, str], properties: tuple[str, ...]) -> Iterator[Server]:
    """The same release with its own defaults: its address, the model's, and what is to be tried."""
    java, engine, port = find_java(), Engine.in_cache(), free_port()
    engine.ensure(java, silent)
    command: list[str | Path] = [java.path, "-jar", engine.jar, f"--server.port={port}", "--server.address=127.0.0.1"]
    command += [f"--conductor.ai.{provider}.base-url={url}" for provider, url in model_urls.items()]
    command += [f"--{setting}" for setting in properties]
    keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
    with (
        open(folder / "server.log", "wb") as log,
        subprocess.Popen(command, cwd=folder, env=os.environ | keys, stdout=log, stderr=log) as process,
    ):
        try:
            server = Server(f"http://127.0.0.1:{port}", process.pid, folder)
            _await_health(server, process, BOOT)
            yield server
        finally:
            process.kill()


def _await_health(server: Server, process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not server.is_well():
        if process.poll() is not None or time.monotonic() > deadline:
            said = (server.folder / "server.log").read_text(errors="replace").splitlines()[-5:]
            raise RuntimeError("The stock server is not well; the end of its log:\n" + "\n".join(said))
        time.sleep(0.2)
