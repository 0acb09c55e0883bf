"""The lease process by itself: which heartbeats reach a server, whatever the server and the host do meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import agentspan.worker
from agentspan.testing import wait_until

PROGRAM = Path(agentspan.worker.__file__).with_name("_lease_process.py")


class Server:
    """Answers heartbeats, the first ones only once it is told to."""

    def __init__(self) -> None:
        self.beats: list[str] = []
        self.slow = 0
        self.go_on = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.beats.append(body["taskId"])
                if len(outer.beats) <= outer.slow:
                    outer.go_on.wait(30)
                self._answer({})

            def do_GET(self) -> None:
                self._answer({"status": "IN_PROGRESS"})

            def _answer(self, body: Any) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.go_on.set()
    made.http.shutdown()
    made.http.server_close()


class Host:
    """What a worker host is to the lease process."""

    def __init__(self, server: Server) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-S", str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.say(nodes=[{"url": server.url, "proxy": None}], ca_file=None, parent=os.getpid())
        self.say(headers={})

    def say(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def hold(self, task: str) -> None:
        self.say(hold=task, update={"taskId": task}, at=time.monotonic())

    def hears(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def host(server: Server) -> Iterator[Host]:
    made = Host(server)
    yield made
    assert made.process.stdin is not None
    assert made.process.stdout is not None
    made.process.stdin.close()
    made.process.wait(30)
    made.process.stdout.close()


def test_a_heartbeat_that_the_server_is_slow_to_take_does_not_hold_up_the_next(server: Server, host: Host) -> None:
    server.slow = 1
    host.hold("a")

    wait_until(lambda: server.beats == ["a", "a"], "another heartbeat while the first is on its way", 30)


def test_a_task_is_let_go_once_no_heartbeat_of_it_is_on_its_way(server: Server, host: Host) -> None:
    server.slow = 2
    host.hold("a")
    wait_until(lambda: len(server.beats) == 2, "two heartbeats on their way", 30)
    host.say(release="a")
    host.say(confirm="a")
    host.say(confirm="b")

    assert host.hears() == {"confirmed": "b"}
    server.go_on.set()
    assert host.hears() == {"confirmed": "a"}
    assert server.beats == ["a", "a"]


def test_a_host_that_never_stops_writing_gets_its_heartbeats(server: Server, host: Host) -> None:
    host.hold("a")
    deadline = time.monotonic() + 30
    while not server.beats and time.monotonic() < deadline:
        host.say(release="none of these")

    assert "a" in server.beats
