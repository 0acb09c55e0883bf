"""What the demo starts, and stops again in every case: a server, a model, workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from agentspan.declare.providers import PROVIDERS, find_provider
from agentspan.demo import agent, ledger, script
from agentspan.errors import ConfigError, Conflict
from agentspan.server import LocalServer, Progress, ServerState
from agentspan.server._process import port_is_free
from agentspan.testing import ScriptedModel

PORT = 6767
SCRIPTED = "scripted"
WORKER_TARGET = "agentspan.demo.agent:feedback_analyst"

_BY_KEY = {"OPENAI_API_KEY": agent.DEFAULT_MODEL, "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-4-5"}
_STOP_SECONDS = 10.0
_PID_FILE = "demo.pid"


@dataclass(frozen=True)
class Model:
    """The model that the agent uses.

    Attributes:
        name: As in `Agent(model=…)`.
        scripted: Whether it is the demo's own script.
    """

    name: str
    scripted: bool


def choose_model(asked: str | None, environ: Mapping[str, str]) -> Model:
    """The model that was asked for, or one whose key is in the environment, or the script.

    Raises:
        ConfigError: The provider is unknown, or its key is missing.
    """
    if asked is None:
        names = [name for key, name in _BY_KEY.items() if environ.get(key)]
        return Model(names[0], scripted=False) if names else Model(script.MODEL, scripted=True)
    if asked == SCRIPTED:
        return Model(script.MODEL, scripted=True)
    provider = find_provider(asked.partition("/")[0])
    if provider is None or "/" not in asked:
        raise ConfigError(f"{asked!r} is not a model.", hint=f"Write provider/model, or {SCRIPTED!r}.")
    missing = [name for name in PROVIDERS[provider] if not environ.get(name)]
    if missing:
        raise ConfigError(f"{asked} needs {', '.join(missing)} in the environment.")
    return Model(asked, scripted=False)


@contextmanager
def only_demo(folder: Path) -> Iterator[None]:
    """Refuse to play while another demo plays in the same folder.

    Raises:
        Conflict: There is one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _PID_FILE
    other = _living(path)
    if other is not None:
        raise Conflict(f"Another demo is playing in {folder}: process {other}.", hint="Wait for its end, or stop it.")
    path.write_text(f"{os.getpid()} {psutil.Process().create_time()}", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _living(path: Path) -> int | None:
    try:
        pid, started = path.read_text(encoding="utf-8").split()
        same = abs(psutil.Process(int(pid)).create_time() - float(started)) < 2
    except (OSError, ValueError, psutil.Error):
        return None
    return int(pid) if same else None


@contextmanager
def model_urls(model: Model) -> Iterator[dict[str, str]]:
    """Serve the script while it is needed; where the server finds it."""
    if not model.scripted:
        yield {}
        return
    served = ScriptedModel(script.reply, keep=1).start()
    try:
        yield {"openai": served.openai_url}
    finally:
        served.stop()


@contextmanager
def server(folder: Path, urls: Mapping[str, str], on_progress: Progress, *, keep: bool) -> Iterator[ServerState]:
    """Run the demo's server; one that an earlier demo kept is replaced, since its model is gone."""
    LocalServer(folder).stop()
    local = LocalServer(folder, PORT if port_is_free(PORT) else 0, urls)
    local.prepare(on_progress)
    state = local.start(on_progress)
    try:
        yield state
    finally:
        if not keep:
            local.stop()


class Worker:
    """A worker process: what `agentspan worker start` is."""

    def __init__(self, state: ServerState, model: Model, book: Path, log: Path) -> None:
        command = [sys.executable, "-m", "agentspan", "--server", state.url, "worker", "start", WORKER_TARGET]
        environ = {**os.environ, agent.MODEL_VARIABLE: model.name, ledger.VARIABLE: str(book)}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its workers
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it: SIGKILL, which no process can catch."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it politely, and otherwise if that takes long."""
        if not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def cleaned_up() -> Iterator[ExitStack]:
    """A stack that is unwound whole: on errors, Ctrl-C and SIGTERM, and without being interrupted itself."""
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    stack = ExitStack()
    try:
        yield stack
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            stack.close()
        finally:
            for number, handler in {**before, signal.SIGINT: interrupt}.items():
                signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
