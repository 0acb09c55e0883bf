"""Calls of MCP tools that something before the server answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentspan.agents import RetryTool, Tool, ToolFailed, mcp_tool
from tests.unit.little_site import CONTEXT


class Gateway(BaseHTTPRequestHandler):
    """It lets through what begins a session, and answers calls with the status that is their tool's name."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, told = asked["method"], {"jsonrpc": "2.0", "id": asked.get("id")}
        if method == "tools/call":
            self.answer(int(asked["params"]["name"].removeprefix("status_")), b"<html>", Retry_After="7")
        elif "id" not in asked:
            self.answer(202, b"")
        elif method == "initialize":
            version = asked["params"]["protocolVersion"]
            info = {"name": "g", "version": "1"}
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            self.answer(200, json.dumps({**told, "result": result}).encode())
        elif method == "tools/list":
            tools = [
                {"name": f"status_{each}", "inputSchema": {"type": "object"}} for each in (403, 429, 500, 502, 503)
            ]
            self.answer(200, json.dumps({**told, "result": {"tools": tools}}).encode())
        else:
            self.answer(200, json.dumps({**told, "error": {"code": -32601, "message": "no such method"}}).encode())

    def do_GET(self) -> None:
        self.answer(405, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def tools() -> Iterator[dict[str, Tool[..., Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.daemon_threads = True
    serving = threading.Thread(target=lambda: server.serve_forever(0.01))
    serving.start()
    yield {each.name: each for each in mcp_tool(f"http://127.0.0.1:{server.server_port}/mcp")}
    server.shutdown()
    server.server_close()
    serving.join()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, ToolFailed, r"The MCP server 127\.0\.0\.1 answered 403: it refused the call"),
        (429, RetryTool, "answered 429: it did not take the call"),
        (500, ToolFailed, "answered 500"),
        (502, ConnectionError, r"answered 502\. Whether the call was made is not known"),
        (503, RetryTool, "answered 503"),
    ],
)
def test_what_a_gateway_answers_decides_about_another_try(
    tools: dict[str, Tool[..., Any]], status: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        asyncio.run(tools[f"status_{status}"].invoke({}, CONTEXT))
    if isinstance(caught.value, RetryTool):
        assert caught.value.after == 7
