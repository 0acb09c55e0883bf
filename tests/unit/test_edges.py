"""Values that make no sense are refused with our errors, before anything is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ConfigError, InputError
from agentspan.config import Settings, configure, load_settings
from agentspan.engine.client import Conductor
from agentspan.errors import LocalServerError
from agentspan.server import LocalServer
from agentspan.server._process import _cause, _way_out
from agentspan.server._record import Record
from agentspan.testing import wait_until

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def runtime() -> AgentRuntime:
    return AgentRuntime(NOWHERE)


@pytest.mark.parametrize("wrong", [None, "", "  ", 7, b"x"])
def test_an_id_that_is_none(runtime: AgentRuntime, wrong: Any) -> None:
    with pytest.raises(InputError, match="execution_id must be the id of a run"):
        AgentHandle(wrong, runtime)


@pytest.mark.parametrize("wrong", [None, "http://127.0.0.1:1", Settings(server_url=NOWHERE)])
def test_a_runtime_that_is_none(wrong: Any) -> None:
    with pytest.raises(InputError, match="runtime must be an AgentRuntime, not"):
        AgentHandle("exec-1", wrong)


@pytest.mark.parametrize("wrong", ["3", -1, 1.5, True, None, [1]])
def test_a_cursor_that_is_none(runtime: AgentRuntime, wrong: Any) -> None:
    with pytest.raises(InputError, match="from_ must be the `seq` of an event, or 0, not"):
        AgentHandle("exec-1", runtime).stream(wrong)


@pytest.mark.parametrize("wrong", ["3", -1, 1.5, True])
def test_a_number_of_steps_that_is_none(runtime: AgentRuntime, wrong: Any) -> None:
    with pytest.raises(InputError, match="last must be a number of steps, or None for all of them, not"):
        AgentHandle("exec-1", runtime).steps(wrong)


@pytest.mark.parametrize("wrong", ["3", -1, float("nan"), True, timedelta(seconds=3)])
def test_a_time_to_wait_that_is_none(runtime: AgentRuntime, wrong: Any) -> None:
    handle, agent = AgentHandle("exec-1", runtime), Agent("a", model="openai/x")
    waits: list[Callable[[], object]] = [
        lambda: handle.result(wrong),
        lambda: handle.stream(timeout=wrong),
        lambda: asyncio.run(handle.result_async(wrong)),
        lambda: runtime.run(agent, "Hi.", timeout=wrong),
        lambda: asyncio.run(runtime.run_async(agent, "Hi.", timeout=wrong)),
    ]
    for wait in waits:
        with pytest.raises(InputError, match="timeout must be a number of seconds, or None to wait for the end, not"):
            wait()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"concurrency": "many"}, "concurrency must be a whole number"),
        ({"server_url": 6767}, "server_url must be a text, not a int"),
        ({"request_timeout": True}, "request_timeout must be a number of seconds"),
        ({"progress": "no"}, "progress must be true or false"),
        ({"sever_url": "http://x"}, "unknown setting sever_url"),
    ],
    ids=str,
)
def test_a_setting_that_is_none_is_forgotten(monkeypatch: pytest.MonkeyPatch, wrong: Any, told: str) -> None:
    monkeypatch.setattr("agentspan.config._configured", {"request_timeout": 7})
    with pytest.raises(ConfigError, match=told):
        configure(**wrong)
    assert load_settings(server_url=NOWHERE).request_timeout == 7


@pytest.mark.parametrize("wrong", ["", "  ", "\n"])
def test_an_empty_key_is_no_key(runtime: AgentRuntime, wrong: str) -> None:
    with pytest.raises(InputError, match="all callers without a key would share one run"):
        runtime.start(Agent("a", model="openai/x"), "Hi.", idempotency_key=wrong)


@pytest.mark.parametrize("wrong", [[1], "x", 5, [], "", 0])
def test_a_context_that_is_no_dict(runtime: AgentRuntime, wrong: Any) -> None:
    with pytest.raises(InputError, match="context must be a dict"):
        runtime.start(Agent("a", model="openai/x"), "Hi.", context=wrong)


@pytest.mark.parametrize("wrong", ["x" * 1_000_000, "é" * 2_000])
def test_a_reason_that_no_address_holds(runtime: AgentRuntime, wrong: str) -> None:
    with pytest.raises(InputError, match="reason is too long"):
        AgentHandle("exec-1", runtime).cancel(wrong)


@pytest.mark.parametrize("port", ["65536", "99999", "0", "-1", "x"])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(ConfigError, match="is not an address of a server"):
        Settings(server_url=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "8"])
def test_a_concurrency_that_is_none(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="concurrency must be a whole number"):
        Settings(concurrency=wrong)


@pytest.mark.parametrize("host", ["fe80::1%25lo", "fe80::1%eth0", "fe80::1", "FEBF::1", "::1%25lo"])
def test_an_ipv6_address_of_one_interface_is_none(host: str) -> None:
    with pytest.raises(ConfigError, match="link-local address of IPv6") as caught:
        Settings(server_url=f"http://conductor:8080, http://[{host}]:8080/api")
    assert "Use the server's name" in (caught.value.hint or "")


def test_an_ipv6_address_is_one() -> None:
    assert Settings(server_url="http://[::1]:6767/api").base_url == "http://[::1]:6767"


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "nonsense://x", "http://"])
def test_a_proxy_that_no_node_needs_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    for address in (
        NOWHERE,
        "http://localhost:1",
        "http://[::1]:1",
        "http://127.0.0.2:1",
        "http://[::ffff:127.0.0.1]:1",
    ):
        Conductor(Settings(server_url=address))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"pid": "x", "started": 1.0, "port": 1, "version": "3", "providers": []}),
        json.dumps({"pid": -5, "started": 1.0, "port": 1, "version": "3", "providers": []}),
        json.dumps({"pid": 5, "started": None, "port": 1, "version": "3", "providers": []}),
    ],
)
def test_a_broken_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert Record.read(tmp_path) is None


@pytest.mark.parametrize("more", [{}, {"version": "3", "providers": ["openai"], "of": "a later release"}], ids=str)
def test_a_record_of_another_release_is_understood(tmp_path: Path, more: dict[str, Any]) -> None:
    """Else its server would not be found, and a second one be started on its data."""
    (tmp_path / "server.json").write_text(json.dumps({"pid": 5, "started": 1.0, "port": 1, **more}))
    found = Record.read(tmp_path)
    assert found is not None
    assert (found.pid, found.version) == (5, more.get("version", "of another release"))


@pytest.mark.parametrize(
    "begin",
    [lambda server: server.start(), lambda server: server.prepare()],
    ids=["start", "prepare"],
)
@pytest.mark.parametrize("place", ["/proc/agentspan", "{file}/below", "{file}"])
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[LocalServer], object], place: str
) -> None:
    (tmp_path / "file").write_text("")
    folder = Path(place.format(file=tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    server = LocalServer(folder, port=0)

    with pytest.raises(LocalServerError, match="the server cannot be kept in") as caught:
        begin(server)

    assert str(folder) in caught.value.message
    assert "AGENTSPAN_DATA_DIR" in (caught.value.hint or "")
    assert server.status() is None


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("[SQLITE_NOTADB] File opened that is not a database file", "is damaged: put a copy of it back"),
        ("[SQLITE_CORRUPT] The database disk image is malformed", "is damaged: put a copy of it back"),
        ("[SQLITE_CANTOPEN] Unable to open the database file", "a file that you may write"),
        ("[SQLITE_READONLY_DIRECTORY] attempt to write a readonly database", "a file that you may write"),
        ("[SQLITE_FULL] database or disk is full", "free some space"),
        ("no such table: workflow", ""),
    ],
)
def test_what_to_do_about_a_database(tmp_path: Path, code: str, told: str) -> None:
    assert told in _way_out(f"org.sqlite.SQLiteException: {code}", tmp_path)
    assert (str(tmp_path / "conductor.db") in _way_out(code, tmp_path)) is bool(told)


def test_of_java_s_errors_the_innermost_cause_is_told() -> None:
    lines = [
        "org.springframework.beans.factory.BeanCreationException: Error creating bean",
        "\tat org.springframework.Some.frame(Some.java:1)",
        "Caused by: java.lang.IllegalStateException: no database",
        "Caused by: org.sqlite.SQLiteException: [SQLITE_NOTADB] File opened that is not a database file",
        "\t... 12 common frames omitted",
    ]
    assert _cause(lines) == "org.sqlite.SQLiteException: [SQLITE_NOTADB] File opened that is not a database file"
    assert _cause(["started"]) is None


def test_serving_in_another_thread_waits_for_the_runtime_to_be_shut_down(runtime: AgentRuntime) -> None:
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            runtime.serve()
        except BaseException as error:  # noqa: BLE001 - it is told
            errors.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    wait_until(thread.is_alive, "the thread to serve")
    runtime.shutdown()
    thread.join(30)
    assert not thread.is_alive()
    assert errors == []
