"""Which proxy a request passes, and how the lease process passes it."""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest

from agentspan.config import Settings
from agentspan.engine.client import Conductor
from agentspan.engine.proxies import proxy_for
from agentspan.testing import wait_until
from agentspan.worker.leases import Leases

UPDATE = {"taskId": "t-1", "workflowInstanceId": "w-1", "workerId": "me"}

ADDRESSES = (
    *("http://127.0.0.1:6767/api", "https://localhost:8443/api", "http://[::1]:6767/api"),
    *("http://conductor.example/api", "https://conductor.example/api", "https://conductor.example:8443/base/api"),
    *("https://far.conductor.example/api", "https://notconductor.example/api"),
    *("http://10.0.0.1:8080/api", "http://110.0.0.1/api", "http://[fd00::1]:8080/api"),
    "https://CONDUCTOR.example:443/api",
)
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {},
    {"HTTP_PROXY": "http://plain.example:3128"},
    {"HTTPS_PROXY": "http://me:p%40ss@secure.example"},
    {"ALL_PROXY": "proxy.example:8080"},
    {"HTTP_PROXY": "http://plain.example", "ALL_PROXY": "https://[fd00::2]"},
    *(
        {"ALL_PROXY": "http://proxy.example:8080", "NO_PROXY": spared}
        for spared in (
            *("", "*", "conductor.example", ".conductor.example", "CONDUCTOR.EXAMPLE", "a.example, conductor.example"),
            *("conductor.example:8443", "conductor.example:443", "https://conductor.example", "http://10.0.0.1:8080"),
            *("10.0.0.1", "10.0.0.1/8", "fd00::1", "localhost", "example"),
        )
    ),
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_a_heartbeat_passes_the_proxy_that_other_requests_pass(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    passed: list[httpx.Proxy] = []

    class Client(httpx.Client):
        def _init_proxy_transport(self, proxy: httpx.Proxy, **_: object) -> httpx.BaseTransport:
            number = len(passed)
            passed.append(proxy)
            return httpx.MockTransport(lambda _: httpx.Response(200, text=str(number)))

        def _init_transport(self, **_: object) -> httpx.BaseTransport:
            return httpx.MockTransport(lambda _: httpx.Response(200, text="-1"))

    here = {f"all://[{host}]" if ":" in host else f"all://{host}": None for host in ("127.0.0.1", "localhost", "::1")}
    with Client(mounts=here) as client:
        for address in ADDRESSES:
            ours, number = proxy_for(address), int(client.get(address).text)
            if number < 0:
                assert ours is None, address
                continue
            theirs = passed[number]
            assert ours is not None, address
            assert ours.scheme == theirs.url.scheme
            host, _, port = ours.address.rpartition(":")
            assert host.strip("[]") == theirs.url.host
            assert int(port) == (theirs.url.port or {"http": 80, "https": 443}[ours.scheme])
            if theirs.raw_auth is None:
                assert ours.authorization is None
            else:
                assert base64.b64decode(str(ours.authorization).removeprefix("Basic ")) == b"me:p@ss"
                assert str(ours.authorization) not in repr(ours)


class Forward(BaseHTTPRequestHandler):
    """A proxy for http addresses, which knows the way to all of them, and the answer."""

    asked: list[tuple[str, str | None]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"t-1")

    def do_GET(self) -> None:
        self._answer(b'{"status": "COMPLETED"}')

    def _answer(self, body: bytes) -> None:
        self.asked.append((f"{self.command} {self.path}", self.headers["Proxy-Authorization"]))
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged per request."""


@pytest.fixture
def forward() -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    class Listening(Forward):
        asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port, Listening.asked
        server.shutdown()


def test_a_heartbeat_to_an_http_address_shows_the_proxy_its_password(
    forward: tuple[int, list[tuple[str, str | None]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = forward
    monkeypatch.setenv("ALL_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
    lost: list[str] = []
    leases = Leases(Conductor(Settings(server_url="http://conductor.example:8080")), lost.append)
    try:
        leases.hold([UPDATE])
        wait_until(lambda: lost == ["t-1"], "the heartbeat to be answered")
    finally:
        leases.close()

    shown = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert asked == [
        ("POST http://conductor.example:8080/api/tasks", shown),
        ("GET http://conductor.example:8080/api/tasks/t-1", shown),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_lease_process_is_not_given_the_secrets_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "SHOP_TOKEN": "canary-1",
        "AGENTSPAN_AUTH_SECRET": "canary-2",
        "OPENAI_API_KEY": "canary-3",
        "HTTPS_PROXY": "http://me:canary-4@proxy.example:3128",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/certs")
    before = set(psutil.Process().children())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Conductor(Settings(server_url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        leases = Leases(client, lambda _: None)
        try:
            leases.hold([UPDATE])
            (child,) = set(psutil.Process().children()) - before
            place = Path(f"/proc/{child.pid}")
            environment, arguments = (place / "environ").read_bytes(), (place / "cmdline").read_bytes()
        finally:
            leases.close()

    assert b"_lease_process.py" in arguments
    assert b"SSL_CERT_DIR=/etc/ssl/certs" in environment.split(b"\0")
    assert b"canary" not in environment + arguments
    assert not any(f"{name}=".encode() in environment for name in secrets)
