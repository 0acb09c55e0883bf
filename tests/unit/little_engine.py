"""A few of Conductor's routes over HTTP, which keep what they are given and do nothing by themselves.

So a test says how runs stand, and sees what is asked of the engine. What the engine makes of it, tests/server tells.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from agentspan.config import Settings
from agentspan.engine.client import Conductor

Json = dict[str, Any]
Answer = tuple[int, Any]


class LittleEngine:
    """The state behind the routes.

    Attributes:
        executions: What an execution is, by its id.
        workflows: Workflow definitions by name and version.
        tasks: Task definitions by name.
        polled: When a queue was last polled, in milliseconds since 1970.
        process_started: When the server's process started, in milliseconds since 1970.
        done: Requests that change something: method, path below `/api`, body.
        before: Called with method and path before a request is carried out: what other processes do meanwhile. What it
            returns is the answer, unless that is None.
        lost: Whether the answer to a request is lost, by method and path; the request itself is carried out.
    """

    def __init__(self) -> None:
        self.executions: dict[str, Json] = {}
        self.workflows: dict[tuple[str, int], Json] = {}
        self.tasks: dict[str, Json] = {}
        self.polled: dict[str, int] = {}
        self.process_started = 0
        self.done: list[tuple[str, str, Any]] = []
        self.before: Callable[[str, str], Answer | None] = lambda method, path: None
        self.lost: Callable[[str, str], bool] = lambda method, path: False
        self._lock = threading.RLock()

    def changes(self, method: str, path: str) -> list[Any]:
        """The bodies of the requests of that method whose path begins so."""
        return [body for verb, where, body in self.done if verb == method and where.startswith(path)]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        with self._lock:
            given = self.before(method, path)
            if given is not None:
                return given
            if method != "GET":
                self.done.append((method, path, body))
            for verb, pattern, route in _ROUTES:
                found = re.fullmatch(pattern, path)
                if verb == method and found:
                    return route(self, query, body, *(unquote(part) for part in found.groups()))
        raise AssertionError(f"the little engine has no {method} {path}")

    def begin(self, name: str, version: int, correlation_id: str | None) -> str:
        """A new run, as `POST /workflow` makes one."""
        execution_id = f"run-{len(self.executions) + 1}"
        about = {"workflowId": execution_id, "workflowName": name, "workflowVersion": version, "status": "RUNNING"}
        self.executions[execution_id] = {**about, "correlationId": correlation_id, "tasks": []}
        return execution_id

    # ---- routes -----------------------------------------------------------------------------------------

    def _workflow(self, query: dict[str, str], body: Any, execution_id: str) -> Answer:
        found = self.executions.get(execution_id)
        return (404, {"message": "no such workflow"}) if found is None else (200, found)

    def _start(self, query: dict[str, str], body: Json) -> Answer:
        return 200, self.begin(body["name"], body["version"], body.get("correlationId"))

    def _correlated(self, query: dict[str, str], body: Any, name: str, correlation_id: str) -> Answer:
        wanted = {"workflowName": name, "correlationId": correlation_id}
        return 200, [run for run in self.executions.values() if wanted.items() <= run.items()]

    def _nothing(self, *_: Any) -> Answer:
        return 200, None

    def _polls(self, query: dict[str, str], body: Any) -> Answer:
        name = query["taskType"]
        last = self.polled.get(name)
        return 200, [] if last is None else [{"queueName": name, "workerId": "w", "lastPollTime": last}]

    def _definition(self, query: dict[str, str], body: Any, name: str) -> Answer:
        versions = [version for known, version in self.workflows if known == name]
        version = int(query.get("version", max(versions, default=0)))
        found = self.workflows.get((name, version))
        return (404, {"message": "no such definition"}) if found is None else (200, found)

    def _versions(self, query: dict[str, str], body: Any) -> Answer:
        names = {name for name, _ in self.workflows}
        return 200, {
            name: [{"version": version} for known, version in self.workflows if known == name] for name in names
        }

    def _create(self, query: dict[str, str], body: Json) -> Answer:
        key = (body["name"], body["version"])
        if key in self.workflows:
            return 409, {"message": "it exists"}
        self.workflows[key] = body
        return 200, None

    def _delete(self, query: dict[str, str], body: Any, name: str, version: str) -> Answer:
        gone = self.workflows.pop((name, int(version)), None)
        return (404, {"message": "no such definition"}) if gone is None else (200, None)

    def _task_definition(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self.tasks.get(name)
        return (404, {"message": "no such definition"}) if found is None else (200, found)

    def _put_tasks(self, query: dict[str, str], body: list[Json]) -> Answer:
        self.tasks |= {task["name"]: task for task in body}
        return 200, None


_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", "/workflow/([^/]+)", LittleEngine._workflow),
    ("GET", "/workflow/([^/]+)/status", LittleEngine._workflow),
    ("POST", "/workflow", LittleEngine._start),
    ("GET", "/workflow/([^/]+)/correlated/([^/]+)", LittleEngine._correlated),
    ("PUT", "/workflow/decide/[^/]+", LittleEngine._nothing),
    ("POST", "/tasks", LittleEngine._nothing),
    ("GET", "/tasks/queue/polldata", LittleEngine._polls),
    ("GET", "/metadata/workflow/names-and-versions", LittleEngine._versions),
    ("GET", "/metadata/workflow/([^/]+)", LittleEngine._definition),
    ("POST", "/metadata/workflow", LittleEngine._create),
    ("DELETE", "/metadata/workflow/([^/]+)/([0-9]+)", LittleEngine._delete),
    ("GET", "/metadata/taskdefs/([^/]+)", LittleEngine._task_definition),
    ("POST", "/metadata/taskdefs", LittleEngine._put_tasks),
]


def _handler(engine: LittleEngine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: the second one of two would wait for 40 ms

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if address.path == "/actuator/prometheus":
                self._send(200, f"process_start_time_seconds {engine.process_started / 1000}\n".encode())
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = address.path.removeprefix("/api")
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, answer = engine.answer(self.command, path, query, body)
            if engine.lost(self.command, path):
                self.close_connection = True
                return
            self._send(status, b"" if answer is None else json.dumps(answer).encode())

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serving(engine: LittleEngine) -> Iterator[Conductor]:
    """The engine at an address, and a client of it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(engine)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Conductor(Settings(server_url=f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
            thread.join()


def ago(seconds: float) -> int:
    """A moment in the past, in milliseconds since 1970."""
    return int((time.time() - seconds) * 1000)
