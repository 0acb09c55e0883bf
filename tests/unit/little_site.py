"""A web server of the standard library that notes what it is asked, and answers what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agentspan.agents import Tool
from agentspan.declare.tool import ToolContext

CONTEXT = ToolContext(idempotency_key="key-1", execution_id="e", agent="a", tool="t", call_id="c", step=1)


@dataclass
class Site:
    """What it was asked, and what it answers."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)

    def will(self, status: int, body: bytes | str = b"", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, body if isinstance(body, bytes) else body.encode()))


@contextmanager
def served() -> Iterator[Site]:
    """A site that answers `{}` unless told otherwise."""
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            found.asked.append({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body})
            status, headers, content = found.answers.pop(0) if found.answers else (200, {}, b"{}")
            if status == 0:  # hang up
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=lambda: server.serve_forever(0.01))
    serving.start()
    yield found
    server.shutdown()
    server.server_close()
    serving.join()


def ask(tool: Tool[..., Any], **arguments: Any) -> Any:
    """What a call of the tool gives, outside of a run."""
    return tool.invoke(arguments, CONTEXT)
