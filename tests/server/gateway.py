"""A reverse proxy as it stands in front of a Conductor: TLS, tokens for a key, a base path."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

_NOT_PASSED_ON = {"host", "connection", "x-authorization", "content-length", "transfer-encoding", "keep-alive"}


def jwt(number: int, life: float) -> str:
    """A token that says how long it lives; nobody here checks a signature."""
    now = time.time()

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return ".".join([part({"alg": "none"}), part({"jti": number, "iat": now, "exp": now + life}), f"canary-{number}"])


@dataclass
class Gateway:
    """Forwards what has a valid token.

    Attributes:
        upstream: The Conductor behind it.
        key: The key id it knows.
        secret: That key's secret.
        prefix: The base path below which the Conductor appears.
        said_life: Seconds that a token claims to live; None gives tokens that say nothing.
        read_only: Whether everything but reading is answered with 403.
        asks: Whether it asks for tokens at all.
    """

    upstream: str
    key: str = "the-key"
    secret: str = "the-secret"
    prefix: str = ""
    said_life: float | None = None
    read_only: bool = False
    asks: bool = True
    given: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    paths: list[str] = field(default_factory=list)
    authority: trustme.CA = field(default_factory=trustme.CA)
    _valid: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expire(self) -> None:
        """Let every token that was given so far be refused from now on."""
        with self._lock:
            self._valid.clear()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}{self.prefix}"

    def ca_file(self, folder: Path) -> str:
        path = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return str(path)

    def __enter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "conductor.example").configure_cert(context)
        self._server = _Server(self, context)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ---- what it answers ------------------------------------------------------------------------------

    def new_token(self, body: bytes) -> tuple[int, dict[str, str]]:
        asked = json.loads(body)
        if (asked.get("keyId"), asked.get("keySecret")) != (self.key, self.secret):
            return 401, {"error": "INVALID_CREDENTIALS", "message": "no such key, or another secret"}
        with self._lock:
            number = len(self.given)
            token = f"canary-opaque-{number}" if self.said_life is None else jwt(number, self.said_life)
            self.given.append(token)
            self._valid.add(token)
        return 200, {"token": token}

    def refusal(self, method: str, token: str | None) -> tuple[int, dict[str, str]] | None:
        if self.asks:
            with self._lock:
                if token is None:
                    return 401, {"message": "a token is missing"}
                if token not in self._valid:
                    return 401, {"error": "EXPIRED_TOKEN", "message": "the token has expired"}
        if self.read_only and method != "GET":
            return 403, {"message": "the key may only read"}
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, gateway: Gateway, context: ssl.SSLContext) -> None:
        self.gateway = gateway
        self._context = context
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: object, client_address: object) -> None:
        try:
            secured = self._context.wrap_socket(request, server_side=True)  # in the connection's own thread
        except OSError:
            return  # the client does not trust us
        with secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(urlsplit(self.server.gateway.upstream).netloc, timeout=60)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _any(self) -> None:
        gateway = self.server.gateway
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.removeprefix(gateway.prefix)
        if not self.path.startswith(f"{gateway.prefix}/"):
            self._answer(404, {"content-type": "text/plain"}, b"nothing here")
            return
        gateway.paths.append(path.partition("?")[0])
        if path == "/api/token" and gateway.asks:
            self._say(*gateway.new_token(body))
            return
        refused = gateway.refusal(self.command, self.headers.get("x-authorization"))
        if refused is not None:
            self._say(*refused)
        else:
            self._forward(path, body)

    def do_GET(self) -> None:
        self._any()

    def do_POST(self) -> None:
        self._any()

    def do_PUT(self) -> None:
        self._any()

    def do_DELETE(self) -> None:
        self._any()

    def _forward(self, path: str, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        try:
            self._upstream.request(self.command, path, body, headers)
            answer = self._upstream.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._upstream.close()
            self._say(502, {"message": f"the Conductor did not answer: {type(error).__name__}"})
            return
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_ON}
        self._answer(answer.status, kept, data)

    def _say(self, status: int, body: dict[str, str]) -> None:
        self._answer(status, {"content-type": "application/json"}, json.dumps(body).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.server.gateway.answers[status] += 1
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged per request."""


class Tunnel(socketserver.ThreadingTCPServer):
    """A forward proxy as offices have them: it alone knows the way to `conductor.example`.

    Args:
        port: Where that is on this machine.
        login: `user:password` that it wants to be shown, if any.

    Attributes:
        asked: Where it was asked to connect to, in order.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, login: str = "") -> None:
        self.target = ("127.0.0.1", port)
        self.login = login
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Tunnelled)

    @property
    def url(self) -> str:
        return f"http://{self.login}{'@' if self.login else ''}127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="tunnel", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Tunnelled(socketserver.StreamRequestHandler):
    server: Tunnel

    def handle(self) -> None:
        verb, where, _ = self.rfile.readline().decode().split()
        headers = http.client.parse_headers(self.rfile)
        self.server.asked.append(f"{verb} {where}")
        shown = base64.b64encode(self.server.login.encode()).decode()
        if self.server.login and headers["Proxy-Authorization"] != f"Basic {shown}":
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.server.target) as target:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_pump, args=(target, self.connection), daemon=True).start()
            _pump(self.connection, target)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one side went away
