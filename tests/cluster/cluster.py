"""A cluster on this machine: PostgreSQL from the system's packages, and nodes of the real server, on loopback."""

from __future__ import annotations

import getpass
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from agentspan.server import _health
from agentspan.server._aot import aot_flags, ensure_cache
from agentspan.server._engine import Engine
from agentspan.server._java import find_java
from agentspan.server._launch import LOG, launch
from agentspan.server._process import free_port, last_lines
from agentspan.server._progress import silent
from agentspan.testing import wait_until

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "conductor" / "cluster.properties"
BOOT_SECONDS = 180.0


class NoPostgres(Exception):
    """PostgreSQL cannot be started here; the message says why."""


# ---- the database ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL."""

    port: int
    user: str
    password: str

    @property
    def settings(self) -> dict[str, str]:
        """What a node has to know about it."""
        return {
            "spring.datasource.url": f"jdbc:postgresql://127.0.0.1:{self.port}/postgres",
            "spring.datasource.username": self.user,
            "spring.datasource.password": self.password,
        }


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL with an empty database in a temporary folder; stopped at the end of the block.

    Raises:
        NoPostgres: It is not installed, or this user cannot run it.
    """
    binaries, account = _binaries(), _account()
    described = Postgres(port=free_port(), user="conductor", password=secrets.token_hex(16))
    folder = Path(tempfile.mkdtemp(prefix="agentspan-postgres-"))
    try:
        shutil.chown(folder, account)
        _initialise(binaries, folder, account, described)
        with _running(binaries, folder, account, described):
            yield described
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """The folder of the newest PostgreSQL; Debian does not put it on the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*debian, *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres("PostgreSQL is not installed; on Debian: apt-get install postgresql")


def _account() -> str:
    """Who runs it: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    found = next((name for name in ("postgres", "nobody") if name in names), None)
    if found is None:
        raise NoPostgres("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return found


def _initialise(binaries: Path, folder: Path, account: str, described: Postgres) -> None:
    password = folder / "password"
    password.write_text(described.password)
    shutil.chown(password, account)
    options = ["--username", described.user, f"--pwfile={password}", "--auth=scram-sha-256"]
    command = [binaries / "initdb", *options, "--no-sync", "--encoding=UTF8", "--no-locale", "-D", folder / "data"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **_as(account))
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr.strip()[-500:]}")


@contextmanager
def _running(binaries: Path, folder: Path, account: str, described: Postgres) -> Iterator[None]:
    settings = {"listen_addresses": "127.0.0.1", "port": described.port, "unix_socket_directories": folder}
    unsafe = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}  # the machine will not crash
    command = [binaries / "postgres", "-D", folder / "data"]
    command += [part for name, value in (settings | unsafe).items() for part in ("-c", f"{name}={value}")]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, **_as(account))
    try:
        wait_until(lambda: "ready to accept connections" in _said(process, log), "PostgreSQL to be ready")
        yield
    finally:
        process.send_signal(signal.SIGINT)  # ends its clients' sessions, too
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _said(process: subprocess.Popen[bytes], log: Path) -> str:
    text = log.read_text(errors="replace")
    if process.poll() is not None:
        raise NoPostgres(f"PostgreSQL ended: {text[-500:]}")
    return text


def _as(account: str) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


# ---- its nodes ------------------------------------------------------------------------------------------------------


@dataclass
class Node:
    """One server of a cluster; started with `conductor/cluster.properties` as it stands."""

    folder: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the node was not started"
        return self._process.pid

    def start(self) -> Node:
        """Start it, and return once it is well and warm."""
        self.launch()
        self.await_health()
        return self

    def launch(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(SETTINGS, self.folder / "server.properties")
        (self.folder / "beans.xml").write_text(files("agentspan.server").joinpath("beans.xml").read_text())
        own = {"server.address": "127.0.0.1", "server.port": str(self.port), **self.settings}
        node = self.folder / "node.properties"
        node.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
        java, engine = find_java(), Engine.in_cache()
        self._process = launch(java, engine.jar, self.folder, flags=aot_flags(engine, java))

    def await_health(self) -> None:
        wait_until(self._is_well, f"the node at {self.url} to be well", BOOT_SECONDS, every=0.1)
        _health.warm_up(self.url, BOOT_SECONDS)

    def _is_well(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the node at {self.url} ended: " + "\n".join(self.logs(20)))
        return bool(_health.read_health(self.url))

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(30)

    def signal(self, number: signal.Signals) -> None:
        """Send it any signal, such as SIGSTOP."""
        os.kill(self.pid, number)

    def logs(self, lines: int = 50) -> list[str]:
        return last_lines(self.folder / LOG, lines)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None


@dataclass(frozen=True)
class Cluster:
    """The nodes of one database."""

    nodes: tuple[Node, ...]

    @property
    def url(self) -> str:
        """All addresses, as `server_url` takes them."""
        return ",".join(node.url for node in self.nodes)

    def mend(self) -> None:
        """Start what was killed."""
        dead = [node for node in self.nodes if not node.is_running()]
        _together(dead)


def _together(nodes: list[Node]) -> None:
    for node in nodes:
        node.launch()
    with ThreadPoolExecutor() as pool:
        list(pool.map(Node.await_health, nodes))


@contextmanager
def cluster(models: Mapping[str, str], nodes: int = 2) -> Iterator[Cluster]:
    """A database and its nodes, all started at once as an operator may do; stopped at the end of the block.

    Args:
        models: Settings of the model providers, as `model_settings` makes them.
        nodes: How many.

    Raises:
        NoPostgres: PostgreSQL cannot be started here.
    """
    _binaries()  # before half a gigabyte is downloaded in vain
    java, engine = find_java(), Engine.in_cache()
    engine.ensure(java, silent)
    ensure_cache(engine, java, silent)
    with tempfile.TemporaryDirectory(prefix="agentspan-cluster-") as folder, postgres() as database:
        settings = {**database.settings, **models}
        made = Cluster(tuple(Node(Path(folder) / f"node-{number}", settings) for number in range(1, nodes + 1)))
        try:
            _together(list(made.nodes))
            yield made
        finally:
            for node in made.nodes:
                if node.is_running():
                    node.kill()
