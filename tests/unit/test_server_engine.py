"""Fetching, verifying and unpacking the embedded server."""

from __future__ import annotations

import hashlib
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agentspan.errors import LocalServerError
from agentspan.server import _engine
from agentspan.server._engine import Engine
from agentspan.server._java import LEAST_JAVA, Java

JAR = b"a boot jar, believe it or not" * 1000
ROOT = Path(__file__).parents[2]


class Mirror:
    """A Maven repository with one file."""

    def __init__(self) -> None:
        self.content = JAR
        self.requests: list[str] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        request.send_response(200)
        request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        request.wfile.write(self.content)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    mirror = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_port}/maven"
        monkeypatch.setenv("AGENTSPAN_MAVEN_URL", mirror.url)
        yield mirror
        server.shutdown()
        thread.join()


@pytest.fixture
def java(tmp_path: Path) -> Java:
    """A Java that knows how to unpack, and nothing else."""
    path = tmp_path / "java"
    path.write_text('#!/bin/sh\nset -e\nmkdir -p "$6/lib"\ncp "$3" "$6/"\necho library > "$6/lib/one.jar"\n')
    path.chmod(0o755)
    return Java(path, "25.0.2")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "cache" / "conductor", sha256=hashlib.sha256(JAR).hexdigest())


def ensure(engine: Engine, java: Java, **environ: str) -> list[str]:
    stages: list[str] = []
    engine.ensure(java, lambda stage, *_: stages.append(stage), environ)
    return list(dict.fromkeys(stages))


def test_the_pin_is_the_one_in_the_conductor_folder() -> None:
    pinned = tomllib.loads((ROOT / "conductor" / "server.toml").read_text())["server"]

    assert (pinned["version"], pinned["sha256"], pinned["least_java"]) == (
        _engine.VERSION,
        _engine.SHA256,
        LEAST_JAVA,
    )
    assert (ROOT / pinned["settings"]).is_file()


def test_a_cold_cache(engine: Engine, java: Java, mirror: Mirror) -> None:
    assert ensure(engine, java) == ["downloading the server", "unpacking the server"]
    assert engine.jar.read_bytes() == JAR
    path = f"org/conductoross/conductor-server/{_engine.VERSION}/conductor-server-{_engine.VERSION}-boot.jar"
    assert mirror.requests == [f"/maven/{path}"]


def test_a_warm_cache_asks_nobody(engine: Engine, java: Java, mirror: Mirror) -> None:
    ensure(engine, java)
    mirror.requests.clear()

    assert ensure(engine, java) == []
    assert mirror.requests == []


def test_only_what_is_needed_is_kept(engine: Engine, java: Java, mirror: Mirror) -> None:
    ensure(engine, java)

    kept = sorted(path.relative_to(engine.folder).as_posix() for path in engine.folder.rglob("*"))
    assert kept == ["server", "server.json", "server/boot.jar", "server/lib", "server/lib/one.jar"]


@pytest.mark.parametrize("damage", ["cut", "removed", "added"])
def test_a_damaged_cache_is_fetched_again(engine: Engine, java: Java, mirror: Mirror, damage: str) -> None:
    ensure(engine, java)
    if damage == "cut":
        engine.jar.write_bytes(JAR[:100])
    elif damage == "removed":
        (engine.jar.parent / "lib" / "one.jar").unlink()
    else:
        (engine.jar.parent / "lib" / "two.jar").write_bytes(b"unexpected")
    stale = engine.folder / "java-25.0.2-x86_64.aot"
    stale.write_bytes(b"made for other files")

    ensure(engine, java)

    assert engine.is_whole()
    assert engine.jar.read_bytes() == JAR
    assert not stale.exists()


def test_a_damaged_jar_left_by_an_interrupted_start(engine: Engine, java: Java, mirror: Mirror) -> None:
    left = engine.folder / "download" / f"conductor-server-{_engine.VERSION}-boot.jar"
    left.parent.mkdir(parents=True)
    left.write_bytes(JAR[:-1])

    ensure(engine, java)

    assert engine.jar.read_bytes() == JAR


def test_a_damaged_download(engine: Engine, java: Java, mirror: Mirror) -> None:
    mirror.content = JAR[:-1] + b"?"

    with pytest.raises(LocalServerError, match=f"the server downloaded from {mirror.url} is damaged") as caught:
        ensure(engine, java)

    assert "AGENTSPAN_MAVEN_URL" in (caught.value.hint or "")
    assert not engine.is_whole()
    mirror.content = JAR
    ensure(engine, java)
    assert engine.is_whole()


def test_nobody_at_the_mirror(engine: Engine, java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTSPAN_MAVEN_URL", "http://127.0.0.1:9")

    with pytest.raises(LocalServerError, match=r"cannot download the server from http://127\.0\.0\.1:9"):
        ensure(engine, java)


def test_a_given_jar(engine: Engine, java: Java, mirror: Mirror, tmp_path: Path) -> None:
    given = tmp_path / "given.jar"
    given.write_bytes(JAR)

    assert ensure(engine, java, AGENTSPAN_SERVER_JAR=str(given)) == [
        "verifying the server",
        "unpacking the server",
    ]
    assert mirror.requests == []
    assert given.exists()
    assert engine.jar.read_bytes() == JAR


def test_a_given_jar_is_verified(engine: Engine, java: Java, tmp_path: Path) -> None:
    given = tmp_path / "given.jar"
    given.write_bytes(JAR + b"!")

    with pytest.raises(LocalServerError, match=r"given\.jar is not the boot jar of Conductor") as caught:
        ensure(engine, java, AGENTSPAN_SERVER_JAR=str(given))

    assert engine.sha256 in (caught.value.hint or "")


def test_a_given_jar_that_is_not_there(engine: Engine, java: Java, tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match=r"AGENTSPAN_SERVER_JAR names .* which is not a file"):
        ensure(engine, java, AGENTSPAN_SERVER_JAR=str(tmp_path / "no.jar"))


def test_a_failed_unpacking(engine: Engine, tmp_path: Path, mirror: Mirror) -> None:
    broken = tmp_path / "broken-java"
    broken.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    broken.chmod(0o755)

    with pytest.raises(LocalServerError, match=r"cannot unpack .*No space left on device"):
        ensure(engine, Java(broken, "25"))

    assert not engine.is_whole()


def test_many_at_once_on_a_cold_cache(engine: Engine, java: Java, mirror: Mirror) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ensure(engine, java), range(6)))

    assert engine.is_whole()
    assert len(mirror.requests) == 1
