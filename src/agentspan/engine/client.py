"""The one door to Conductor's REST API, on conductor-python's HTTP client.

Every answer leaves this module parsed, every failure as one of our errors. Nothing here knows
what an agent is.
"""

from __future__ import annotations

import html
import json
import re
import ssl
import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.api_client import ApiClient
from conductor.client.http.rest import ApiException, RESTClientObject
from pydantic import TypeAdapter

from agentspan import forks
from agentspan.config import Settings
from agentspan.engine.nodes import UNSENT, Nodes
from agentspan.engine.proxies import Proxy, named_for, proxy_for
from agentspan.engine.records import PollRecord, RunSummary, TaskRecord, WorkflowRecord
from agentspan.engine.tokens import TokenAuth
from agentspan.errors import (
    ConfigError,
    Conflict,
    NotFound,
    ServerError,
    ServerRejected,
    ServerUnreachable,
    Unauthorized,
)
from agentspan.stored.status import RunStatus

Json = dict[str, Any]

_TASKS = TypeAdapter(list[TaskRecord])
_POLLS = TypeAdapter(list[PollRecord])
_RUNS = TypeAdapter(list[RunSummary])
_STATUS: TypeAdapter[RunStatus] = TypeAdapter(RunStatus)

CONNECT = 2.0
"""Seconds to wait for a connection, where there is another node."""

HUNG = 10.0
"""Seconds to wait for an answer that is small, where there is another node to ask."""

REPORT = 2.5
"""Seconds to wait until a report was taken, where there is another node: the call's lease of 5 s runs meanwhile."""

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=30.0)

BUSY = "busy"
"""The domain of polls that only say that a worker has no place free."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_ALL_TASKS = 1_000_000  # the server wants a number
_NAMES_IN_URL = 32  # of 165 characters at most; Tomcat takes 8 KB for a request and its headers

_of_the_parent: list[Nodes] = []
"""Clients whose connections are the parent's; kept, as closing them would wait for locks that nobody releases."""


class _Rest(RESTClientObject):  # type: ignore[misc]  # conductor-python has no types
    """Keeps our connections: conductor-python would close them all, and go on with its own, when one breaks."""

    def _reset_connection(self, expected: object = None) -> bool:
        return False


class _Api(ApiClient):  # type: ignore[misc]
    def sanitize_for_serialization(self, obj: Any) -> Any:
        """Leave what we send as it is: it is plain JSON, and the copy would end at a depth of 480 levels."""
        return obj


class Conductor:
    """A connection to one Conductor server; safe to share between threads.

    Args:
        settings: Where it is, and how to speak to it.
        on_absent: Called, and the request sent again, when nobody listens at the address and nobody ever did.
    """

    def __init__(self, settings: Settings, on_absent: Callable[[], None] | None = None) -> None:
        self.settings = settings
        self.reached: bool = False  # whether the server has ever answered
        self._on_absent = on_absent
        self._connect()
        self.proxies: tuple[Proxy | None, ...] = tuple(proxy_for(url) for url in settings.api_urls)  # for each node
        forks.tell(self)

    def _connect(self) -> None:
        self._http = _http_client(self.settings)
        # Handles outlive the runtime that made them, so the connections end with the last of them.
        self._closing = weakref.finalize(self, self._http.close)
        configuration = Configuration(server_api_url=self.settings.api_url)
        configuration.http_connection = self._http
        configuration.authentication_settings = None  # it would read the key from the environment by itself
        self._api = _Api(configuration)
        self._api.rest_client = _Rest(connection=self._http)

    def after_fork(self) -> None:
        """Use connections of this child's own; those of the parent are neither used nor closed."""
        self._closing.detach()
        _of_the_parent.append(self._http)
        self._connect()

    def call(
        self,
        method: str,
        path: str,
        query: Iterable[tuple[str, Any]] = (),
        body: Any = None,
        *,
        fail_over: float | None = None,
    ) -> Any:
        """One request to `path` below `/api`; the parsed answer, None when it is empty.

        Args:
            method: GET, POST, PUT or DELETE.
            path: The rest of the address.
            query: Names and values behind the question mark.
            body: What is sent as JSON.
            fail_over: Seconds to wait for a node when there is another one; as for all requests unless given.

        Raises:
            ServerError: One of its kinds, by what went wrong.
        """
        try:
            return self._asked(method, path, query, body, fail_over)
        except ServerUnreachable as error:
            if self._on_absent is None or self.reached or not _nobody_listens(error):
                raise
        self._on_absent()
        return self._asked(method, path, query, body, fail_over)

    def _asked(
        self, method: str, path: str, query: Iterable[tuple[str, Any]], body: Any, fail_over: float | None
    ) -> Any:
        try:
            answer = self._api.call_api(
                path,
                method,
                query_params=[(key, _text(value)) for key, value in query],
                header_params={"Accept": "application/json, text/plain", "Content-Type": "application/json"},
                body=body,
                response_type="object",
                _request_timeout=self._timeout(fail_over),
                _return_http_data_only=True,
            )
        except ApiException as error:
            translated = _translated(error, self.settings, f"{method} {path}")
            self.reached = self.reached or not isinstance(translated, ServerUnreachable)
            raise translated from error
        if isinstance(answer, str) and (title := _page(answer)) is not None:
            raise _no_conductor(self.settings.address, f"answered {method} {path} with {title}")
        self.reached = True
        return answer

    def _timeout(self, fail_over: float | None) -> tuple[float, float] | None:
        if fail_over is None or len(self.settings.base_urls) == 1:
            return None
        return CONNECT, min(fail_over, self.settings.request_timeout)

    def headers(self) -> dict[str, str]:
        """What shows the server who asks, for requests that are made elsewhere: as of the newest request made here."""
        return self._http.auth.headers if isinstance(self._http.auth, TokenAuth) else {}

    # ---- definitions --------------------------------------------------------------------------------

    def workflow_definition(self, name: str, version: int | None = None) -> Json | None:
        """A registered workflow definition, the newest without `version`; None when there is none."""
        query = [] if version is None else [("version", version)]
        return self._find(f"/metadata/workflow/{_segment(name)}", query)

    def workflow_versions(self, name: str) -> list[int]:
        """The versions registered under a name, ascending."""
        found = self.call("GET", "/metadata/workflow/names-and-versions") or {}
        return sorted(int(item["version"]) for item in found.get(name, []))

    def create_workflow_definition(self, definition: Json) -> bool:
        """Register a new (name, version); False when somebody else has just done it.

        Creation is the engine's one atomic compare-and-set: of 40 at once on SQLite exactly one
        got 200, the others 409 or 500 (Conductor 3.32.1, tried).
        """
        try:
            self.call("POST", "/metadata/workflow", body=definition)
        except Conflict:
            return False
        except ServerRejected as error:
            if error.status == 500 and self.workflow_definition(definition["name"], definition["version"]) is not None:
                return False
            raise
        return True

    def delete_workflow_definition(self, name: str, version: int) -> None:
        """Remove one version of a workflow definition."""
        self.call("DELETE", f"/metadata/workflow/{_segment(name)}/{version}")

    def task_definition(self, name: str) -> Json | None:
        """A registered task definition, None when there is none."""
        return self._find(f"/metadata/taskdefs/{_segment(name)}")

    def put_task_definition(self, definition: Json) -> None:
        """Create or replace a task definition."""
        self.call("POST", "/metadata/taskdefs", body=[definition])

    def task_definitions(self) -> list[Json]:
        """All registered task definitions."""
        return list(self.call("GET", "/metadata/taskdefs") or [])

    # ---- executions ---------------------------------------------------------------------------------

    def start_workflow(self, name: str, version: int, inputs: Json, correlation_id: str | None = None) -> str:
        """Start an execution of one exact version; its id.

        Raises:
            ServerUnreachable: Also when the answer was lost, and the execution may have been started.
        """
        request: Json = {"name": name, "version": version, "input": inputs}
        if correlation_id is not None:
            request["correlationId"] = correlation_id
        return str(self.call("POST", "/workflow", body=request))

    def workflow(self, execution_id: str, *, tasks: bool = True) -> WorkflowRecord:
        """An execution as it is stored.

        Raises:
            NotFound: The server has no execution of that id.
        """
        # Tomcat answers 400 or 405 to some of what cannot be an id.
        found = (
            self._find(f"/workflow/{execution_id}", [("includeTasks", tasks)]) if _ID.fullmatch(execution_id) else None
        )
        if found is None:
            raise NotFound(
                f"The server at {self.settings.address} has no execution {execution_id!r}.",
                hint="`agentspan agent list` shows the executions it has.",
                status=404,
            )
        return WorkflowRecord.model_validate(found)

    def status(self, execution_id: str) -> RunStatus:
        """How an execution stands; little to read, however much it holds."""
        found = self.call("GET", f"/workflow/{_segment(execution_id)}/status")
        return _STATUS.validate_python(found["status"])

    def tasks(self, execution_id: str, start: int) -> list[TaskRecord]:
        """The tasks of an execution in the order they were scheduled, without the first `start` ones."""
        query = [("start", start), ("count", _ALL_TASKS)]
        found = self.call("GET", f"/workflow/{_segment(execution_id)}/tasks", query)
        return _TASKS.validate_python(found["results"])

    def correlated(self, name: str, correlation_id: str) -> list[str]:
        """Ids of all executions of a workflow with this correlation id, oldest first; exact rows, not the index."""
        path = f"/workflow/{_segment(name)}/correlated/{_segment(correlation_id)}"
        found = self.call("GET", path, [("includeClosed", True), ("includeTasks", False)]) or []
        return [str(run["workflowId"]) for run in sorted(found, key=lambda run: run.get("createTime", 0))]

    def search(self, query: str, *, start: int = 0, size: int = 20) -> list[RunSummary]:
        """Executions by the server's index, newest first."""
        found = self.call(
            "GET",
            "/workflow/search",
            [
                ("query", query),
                ("start", start),
                ("size", size),
                ("sort", "startTime:DESC"),
                ("freeText", "*"),
            ],
        )
        return _RUNS.validate_python(found.get("results", []))

    def pause(self, execution_id: str) -> None:
        """Have the engine schedule no more of an execution's tasks; those of its sub-workflows go on."""
        self.call("PUT", f"/workflow/{_segment(execution_id)}/pause")

    def resume(self, execution_id: str) -> None:
        """Go on with an execution that was paused."""
        self.call("PUT", f"/workflow/{_segment(execution_id)}/resume")

    def retry(self, execution_id: str) -> None:
        """Go on with an execution that failed, at the task that failed, in whatever sub-workflow that is."""
        self.call("POST", f"/workflow/{_segment(execution_id)}/retry", [("resumeSubworkflowTasks", True)])

    def decide(self, execution_id: str) -> None:
        """Make the engine look at an execution now."""
        self.call("PUT", f"/workflow/decide/{_segment(execution_id)}", fail_over=HUNG)

    def terminate(self, execution_id: str, reason: str) -> None:
        """End an execution."""
        self.call("DELETE", f"/workflow/{_segment(execution_id)}", [("reason", reason)])

    def remove(self, execution_id: str) -> None:
        """Delete an execution, whatever its state, with its tasks and its row in the index."""
        self.call("DELETE", f"/workflow/{_segment(execution_id)}/remove", [("archiveWorkflow", False)])

    # ---- tasks ----------------------------------------------------------------------------------------

    def poll(self, task_name: str, worker_id: str, count: int) -> list[TaskRecord]:
        """Up to `count` tasks of a queue, without waiting."""
        query = [("workerid", worker_id), ("count", count), ("timeout", 0)]
        found = self.call("GET", f"/tasks/poll/batch/{_segment(task_name)}", query, fail_over=HUNG)
        return _TASKS.validate_python(found or [])

    def show_busy(self, task_name: str, worker_id: str, seconds: float) -> None:
        """Be seen as a worker of a queue without taking anything from it (3.32.3, tried: a poll for no tasks counts).

        Args:
            task_name: The queue.
            worker_id: The worker.
            seconds: How long all its places have been taken.
        """
        query = [("workerid", f"{worker_id} {seconds:.0f}"), ("count", 0), ("timeout", 0), ("domain", BUSY)]
        self.call("GET", f"/tasks/poll/batch/{_segment(task_name)}", query, fail_over=HUNG)

    def task(self, task_id: str) -> TaskRecord:
        """One task as it is stored."""
        return TaskRecord.model_validate(self.call("GET", f"/tasks/{_segment(task_id)}", fail_over=HUNG))

    def log_task(self, task_id: str, message: str) -> None:
        """Add a line to a task's log."""
        self.call("POST", f"/tasks/{_segment(task_id)}/log", body=message)

    def task_log(self, task_id: str) -> list[str]:
        """The lines of a task's log, oldest first."""
        found = self.call("GET", f"/tasks/{_segment(task_id)}/log") or []
        return [_logged(str(line["log"])) for line in sorted(found, key=lambda line: line.get("createdTime", 0))]

    def update_task(self, result: Json) -> None:
        """Report on a task that was polled."""
        self.call("POST", "/tasks", body=result, fail_over=REPORT)

    def queue_sizes(self, task_names: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each queue; a poll takes them out."""
        sizes: dict[str, int] = {}
        for first in range(0, len(task_names), _NAMES_IN_URL):
            names = task_names[first : first + _NAMES_IN_URL]
            sizes |= self.call("GET", "/tasks/queue/sizes", [("taskType", name) for name in names], fail_over=HUNG)
        return sizes

    def polls(self, task_name: str) -> list[PollRecord]:
        """Who polled a queue, and when last."""
        return _POLLS.validate_python(self.call("GET", "/tasks/queue/polldata", [("taskType", task_name)]) or [])

    def all_polls(self) -> list[PollRecord]:
        """Who polled each queue last, and when; the server remembers one worker for a queue."""
        return _POLLS.validate_python(self.call("GET", "/tasks/queue/polldata/all") or [])

    # ---- health ---------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._http.clock.now()

    def moment(self) -> datetime:
        """Now, by the server's clock."""
        return datetime.fromtimestamp(self.now(), UTC)

    def started_at(self) -> int:
        """When the server may last have lost what it had begun, in milliseconds since 1970; 0 where it does not tell.

        That is when its process started; of several nodes, when one of them last started or was found away.
        """
        return self._http.interrupted_at()

    def check(self) -> None:
        """Raise `ServerUnreachable` unless a Conductor answers and is healthy."""
        url = f"{self.settings.base_url}/health"
        try:
            answer = self._http.get(url)
            if answer.status_code in (401, 403):
                raise _refused(self.settings, answer.status_code, "GET /health", answer.reason_phrase)
            if answer.status_code in _AWAY:
                raise _away(self.settings.address, answer.status_code, "GET /health")
            healthy = answer.status_code == 200 and bool(answer.json()["healthy"])
        except httpx.TransportError as error:
            raise _unreachable(self.settings.address, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise _no_conductor(self.settings.address, "does not say whether it is healthy") from error
        if not healthy:
            raise ServerUnreachable(f"The server at {self.settings.address} says that it is not healthy.")

    def _find(self, path: str, query: Iterable[tuple[str, Any]] = ()) -> Json | None:
        try:
            found: Json | None = self.call("GET", path, query)
        except NotFound:
            return None
        return found


def _http_client(settings: Settings) -> Nodes:
    trust = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            trust.load_verify_locations(settings.ca_file)
        except OSError as error:  # SSLError is one
            raise ConfigError(
                f"ca_file {settings.ca_file!r} holds no certificate that can be read: {error}",
                hint="AGENTSPAN_CA_FILE must name a PEM file with the certificate of the authority.",
            ) from error
    auth = None
    if settings.auth_key is not None and settings.auth_secret is not None:
        auth = TokenAuth(settings.auth_key, settings.auth_secret, f"{urlsplit(settings.api_url).path}/token")
    try:
        return Nodes(
            settings.base_urls,
            timeout=httpx.Timeout(settings.request_timeout, connect=CONNECT if len(settings.base_urls) > 1 else 5.0),
            limits=_LIMITS,
            verify=trust,
            auth=auth,
            mounts=_proxies(settings, trust),
            trust_env=False,  # it would make transports for proxies that no node needs
        )
    except httpx.InvalidURL:  # its text may hold what follows the first colon of `me:password@host`
        raise _bad_proxy("it is not a URL") from None
    except (ImportError, ValueError) as error:
        raise _bad_proxy(str(error)) from error


def _proxies(settings: Settings, trust: ssl.SSLContext) -> dict[str, httpx.HTTPTransport]:
    """What the requests to each node pass that is reached through a proxy."""
    named = {url: named_for(url) for url in settings.base_urls}
    return {
        _authority(url): httpx.HTTPTransport(verify=trust, limits=_LIMITS, proxy=proxy)
        for url, proxy in named.items()
        if proxy is not None
    }


def _authority(url: str) -> str:
    parts = httpx.URL(url)
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _bad_proxy(why: str) -> ConfigError:
    return ConfigError(
        f"The proxy that the environment names cannot be used: {why}",
        hint="Look at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; NO_PROXY names hosts that need none.",
    )


def _segment(value: str) -> str:
    return quote(value, safe="")


def _logged(stored: str) -> str:
    """A line of a log as it was sent: the server stores it with JSON's escapes, without its quotes (3.32.3, tried)."""
    try:
        return str(json.loads(f'"{stored}"'))
    except ValueError:  # another client's, sent as plain text
        return stored


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unreachable(url: str, cause: object) -> ServerUnreachable:
    hint = "Start one on this machine with `agentspan server start`, or set AGENTSPAN_SERVER_URL."
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        hint = "Set AGENTSPAN_CA_FILE to the PEM file of the authority that signed its certificate."
    return ServerUnreachable(f"No Conductor server answers at {url} ({cause}).", hint=hint)


def _no_conductor(url: str, why: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"What answers at {url} is not a Conductor server: it {why}.",
        hint="Check server_url, and whether a proxy in front of the server wants something first, such as a login.",
    )


def _away(url: str, status: int, doing: str) -> ServerUnreachable:
    doubt = "" if doing.startswith("GET ") else "; it may have been carried out"
    return ServerUnreachable(
        f"No Conductor server answers at {url}: what is in front of it answered {status} to {doing}{doubt}.",
        hint="Check that the server runs, and that the proxy or balancer at this address passes on to its port.",
        status=status,
    )


def _refused(settings: Settings, status: int, doing: str, words: str) -> Unauthorized:
    message = f"The server at {settings.address} answered {status} to {doing}: {words}"
    if settings.auth_key is None:
        hint = "It asks for a key: set AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET."
    elif status == 401:
        hint = "It does not know the key, or not with this secret: check AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET."
    else:
        hint = "The key of AGENTSPAN_AUTH_KEY may not do this: let it be allowed, or set another key and its secret."
    return Unauthorized(message, hint=hint, status=status)


def _may_be_done(error: ApiException, doing: str) -> bool:
    cause = error.__context__
    return not doing.startswith("GET ") and isinstance(cause, httpx.TransportError) and not isinstance(cause, UNSENT)


def _nobody_listens(error: ServerUnreachable) -> bool:
    cause = error.__cause__
    return cause is not None and isinstance(cause.__context__, httpx.ConnectError)


def _answer_lost(url: str, doing: str, cause: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"The answer of the server at {url} to {doing} was lost ({cause}); it may have been carried out.",
        hint="Look before you repeat it; a start with an idempotency_key can be repeated safely.",
    )


_BY_STATUS: dict[int, type[ServerError]] = {404: NotFound, 409: Conflict}

_AWAY = (502, 503, 504)  # what a proxy says while the server behind it restarts


def _translated(error: ApiException, settings: Settings, doing: str) -> ServerError:
    status, url = error.status or 0, settings.address
    if status == 0:
        cause = str(error.reason).strip().splitlines()[-1] if error.reason else "no answer"
        return _answer_lost(url, doing, cause) if _may_be_done(error, doing) else _unreachable(url, cause)
    if status in _AWAY:
        return _away(url, status, doing)
    if status in (401, 403):
        return _refused(settings, status, doing, _server_message(error))
    if status == 404 and _page(str(error.body)) is not None:  # Conductor's own 404 is JSON
        return _no_conductor(url, f"answered {status} to {doing}: {_server_message(error)}")
    message = f"The server at {url} answered {status} to {doing}: {_server_message(error)}"
    sent = error.headers.get("location") if 300 <= status < 400 else None
    hint = f"It sends to {sent}: set that address." if sent else None
    return _BY_STATUS.get(status, ServerRejected)(message, hint=hint, status=status)


def _page(body: str) -> str | None:
    """What to call a web page that came instead of JSON; None for anything else."""
    if not body.lstrip().startswith("<"):
        return None
    title = _TITLE.search(body)
    words = html.unescape(" ".join(title[1].split())) if title else ""
    return f"a page called {words[:100]!r}" if words else "a page without a title"


def _server_message(error: ApiException) -> str:
    body = error.body or error.reason or ""
    title = _page(str(body))
    if title is not None:
        return title
    try:
        parsed = json.loads(body)
    except (TypeError, ValueError):
        return str(body)[:500]
    message = parsed.get("message", body) if isinstance(parsed, dict) else body
    problems = parsed.get("validationErrors") if isinstance(parsed, dict) else None
    if problems:
        details = "; ".join(f"{item.get('path')}: {item.get('message')}" for item in problems)
        return f"{message} ({details})"
    return str(message)[:2000]
