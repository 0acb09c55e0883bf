"""The embedded server's process: what it may see, whom it may be taken for, where it may listen."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentspan.errors import LocalServerError
from agentspan.server import LocalServer
from agentspan.server._launch import settings_file
from agentspan.server._process import becomes_free, end, free_port, port_is_free
from agentspan.server._providers import enabled, model_settings, scrubbed
from agentspan.server._record import Record


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def record(pid: int, port: int = 1) -> Record:
    return Record.of(pid, port=port, version="3", providers=("openai",))


def test_the_environment_is_scrubbed() -> None:
    seen = scrubbed(
        {
            "PATH": "/bin",
            "HOME": "/home/me",
            "LC_ALL": "C",
            "TZ": "UTC",
            "OPENAI_API_KEY": "secret",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "DATABASE_URL": "secret",
            "JAVA_TOOL_OPTIONS": "-Dsecret",
        }
    )

    assert seen == {"PATH": "/bin", "HOME": "/home/me", "LC_ALL": "C", "TZ": "UTC"}


def test_keys_become_settings() -> None:
    settings = model_settings(
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://proxy/v1", "ANTHROPIC_API_KEY": "", "OTHER": "x"}, {}
    )

    assert settings == {"OPENAI_API_KEY": "k", "conductor.ai.openai.base-url": "http://proxy/v1"}
    assert enabled(settings) == ("openai",)


def test_an_address_needs_no_key_and_beats_the_environment() -> None:
    settings = model_settings(
        {"OPENAI_BASE_URL": "http://proxy/v1", "ANTHROPIC_API_KEY": "k"},
        {"openai": "http://scripted/v1", "anthropic": "http://scripted"},
    )

    assert settings == {
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_API_KEY": "k",
        "conductor.ai.openai.base-url": "http://scripted/v1",
        "conductor.ai.anthropic.base-url": "http://scripted",
    }


def test_the_settings_with_the_keys_are_private_and_short_lived(tmp_path: Path) -> None:
    path = tmp_path / "server.properties"
    path.write_text("left by a start that was killed")

    with settings_file(tmp_path, {"OPENAI_API_KEY": "a\\b${c}é"}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().endswith("OPENAI_API_KEY=a\\\\b\\\\${c}\\u00e9\n")

    assert not path.exists()


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    written = record(os.getpid())
    written.write(tmp_path)

    assert Record.read(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)

    assert Record.read(tmp_path) is None
    assert LocalServer(tmp_path).status() is None
    assert LocalServer(tmp_path).stop() is False


def test_a_recycled_process_number_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    real = record(sleeper.pid)
    Record(real.pid, real.started - 60, real.port, real.version, real.providers).write(tmp_path)
    server = LocalServer(tmp_path)

    assert server.status() is None
    assert server.stop() is False
    assert sleeper.poll() is None


def test_stop_ends_the_recorded_process(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record(sleeper.pid).write(tmp_path)
    server = LocalServer(tmp_path)

    assert server.stop() is True
    assert server.stop() is False
    assert not psutil.pid_exists(sleeper.pid) or sleeper.poll() is not None


def test_a_process_that_ignores_the_request_is_killed() -> None:
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        assert end(record(process.pid), 0.2)


def test_a_zombie_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        zombie = record(process.pid)
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass

        assert zombie.process() is None


def test_a_port_in_use_by_another_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert not port_is_free(port)

        with pytest.raises(LocalServerError, match=f"port {port} of 127.0.0.1 is in use by another program") as caught:
            LocalServer(tmp_path, port)._refuse_taken_port()

    assert "--port" in (caught.value.hint or "")


def test_a_port_just_left_is_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        pass

    assert port_is_free(port)


def test_logs(tmp_path: Path) -> None:
    server = LocalServer(tmp_path)
    assert server.logs() == []

    server.log.write_text("one\ntwo\nthree\n")

    assert server.logs(2) == ["two", "three"]


def test_a_free_port_is_none_that_outgoing_connections_are_given() -> None:
    assert all(20_000 <= free_port() < 32_768 for _ in range(20))


def test_a_port_that_is_about_to_be_left_is_waited_for() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as leaving:
        assert not becomes_free(port, seconds=0)
        threading.Timer(0.3, leaving.close).start()
        assert becomes_free(port, seconds=30)
