"""A small HTTP server: keep-alive, no delays, and a stop that also ends what is going on."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What to send back; without a status the connection is closed instead.

    Attributes:
        status: The HTTP status.
        body: JSON.
        headers: More headers.
        delay: Seconds to wait before it.
        stream: What comes bit by bit in place of a body, with pauses between: seconds, or an event that is waited for.
        cut: Whether the connection is closed after the last bit, as if there were more.
    """

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    stream: Iterator[bytes | float | threading.Event] | None = None
    cut: bool = False


Respond = Callable[[str, Mapping[str, str], bytes], Answer]


class JsonServer(socketserver.ThreadingTCPServer):
    """Serves POST requests on a loopback port, a thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, port: int, respond: Respond) -> None:
        self.respond = respond
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, args=(0.05,), name="scripted-model", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and cut every connection, as the death of the process would."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                _cut(connection)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection, and know it meanwhile."""
        with self._lock:
            self._connections.add(request)
        try:
            if not self.stopping.is_set():
                super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker


def _acknowledge_at_once(connection: socket.socket) -> None:
    """Conductor's client sends the end of a body only when the rest is acknowledged, which takes Linux 40 ms."""
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: JsonServer

    def do_POST(self) -> None:
        data = b"".join(self._chunks()) if self._chunked() else self._exactly(self._length())
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.respond(self.path.partition("?")[0], headers, data)
        stopped = self.server.stopping.wait(answer.delay) if answer.delay else self.server.stopping.is_set()
        if stopped or answer.status is None:
            self.close_connection = True
        elif answer.stream is not None:
            self._send_stream(answer.stream, cut=answer.cut)
        else:
            self._send(answer.status, answer)

    def _chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    def _length(self) -> int:
        return int(self.headers.get("content-length", 0))

    def _chunks(self) -> Iterator[bytes]:
        # Spring's client, which Conductor uses for Mistral and Ollama, sends no length.
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self._exactly(size)
            self._exactly(2)  # the end of the line
        self._exactly(2)

    def _exactly(self, length: int) -> bytes:
        _acknowledge_at_once(self.connection)
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionAbortedError("the client went away while it was sending")
        return data

    def _send(self, status: int, answer: Answer) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _send_stream(self, stream: Iterator[bytes | float | threading.Event], *, cut: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for bit in stream:
            if isinstance(bit, bytes):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(bit), bit))
                self.wfile.flush()
            elif not self._passes(bit):
                cut = True
                break
        self.close_connection = self.close_connection or cut
        if not cut:
            self.wfile.write(b"0\r\n\r\n")

    def _passes(self, pause: float | threading.Event) -> bool:
        """Wait for a pause to be over; whether it was before the server stopped."""
        if not isinstance(pause, threading.Event):
            return not self.server.stopping.wait(pause)
        while not pause.wait(0.05):
            if self.server.stopping.is_set():
                return False
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged per request."""
