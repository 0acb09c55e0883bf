"""The scripted model: a provider's API whose answers a test decides."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from agentspan.testing import _anthropic, _openai, _protocol
from agentspan.testing._conversation import ModelRequest, estimate_tokens, fingerprint_of
from agentspan.testing._http import HOST, Answer, JsonServer
from agentspan.testing._replies import Failure, Reply
from agentspan.testing._wire import Wire

Script = Callable[[ModelRequest], Reply] | Sequence[Reply]

logger = logging.getLogger("agentspan.testing")
_WIRES = {wire.path: wire for wire in (_openai.RESPONSES, _openai.CHAT, _anthropic.MESSAGES)}
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"})


class ScriptedModel:
    """A model provider on a loopback port, answering by a script.

    It speaks OpenAI Responses, OpenAI Chat Completions and Anthropic Messages, so that a real Conductor
    server calls it as it would call the provider.

    Example:
        ```python
        with ScriptedModel([call("search", query="whales"), say("Whales sing.")]) as model:
            ...  # give model.model_urls to the Conductor server, and run the agent
        assert model.requests[1].last_result.output == {"result": "a paper"}
        ```

    A model call may be repeated: by a retry, or because a server died before it stored the answer. So a
    reply should depend on the request alone. A list is read by the number of assistant turns in the
    request; a callable should be a pure function of it too. It is called from many threads.

    Args:
        script: Replies in order, or a function from a request to its reply.
        port: The port; 0 takes a free one. A stopped model starts again on the same port.
        keep: How many of the newest requests to keep; None keeps all of them.
        strict: Whether to refuse what a real provider would: a tool result without its call, a call
            without its result, an id used twice, a bad tool name. The refusal is also one of `errors`.
    """

    def __init__(self, script: Script, *, port: int = 0, keep: int | None = None, strict: bool = True) -> None:
        self._reply = as_function(script)
        self._port = port
        self._strict = strict
        self._server: JsonServer | None = None
        self._lock = threading.Lock()
        self._requests: deque[ModelRequest] = deque(maxlen=keep)
        self._errors: list[Exception] = []
        self._attempts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start on a free one."""
        return self._port

    @property
    def anthropic_url(self) -> str:
        """The base URL for Conductor's `conductor.ai.anthropic.base-url`."""
        return f"http://{HOST}:{self._port}"

    @property
    def openai_url(self) -> str:
        """The base URL for Conductor's `conductor.ai.openai.base-url`, and for OpenAI's own client."""
        return f"{self.anthropic_url}/v1"

    @property
    def model_urls(self) -> dict[str, str]:
        """The base URL of each provider."""
        return {"openai": self.openai_url, "anthropic": self.anthropic_url}

    @property
    def requests(self) -> list[ModelRequest]:
        """The requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def count(self) -> int:
        """How many requests there were, also when only the newest are kept."""
        with self._lock:
            return self._attempts.total()

    @property
    def errors(self) -> list[Exception]:
        """What the script raised, and the requests that a real provider would have refused."""
        with self._lock:
            return list(self._errors)

    def start(self) -> Self:
        """Listen and answer in the background."""
        if self._server is None:
            self._server = JsonServer(self._port, self._respond)
            self._port = int(self._server.server_address[1])
            self._server.start()
        return self

    def stop(self) -> None:
        """Close the port and cut all connections; what was recorded stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def check(self) -> None:
        """Raise the first of `errors`, if there is one.

        Raises:
            Exception: What the script raised, or an AssertionError for a request that would be refused.
        """
        errors = self.errors
        if not errors:
            return
        if len(errors) > 1:
            errors[0].add_note(f"(the first of {len(errors)} errors of the scripted model)")
        raise errors[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self.check()

    def _respond(self, path: str, headers: Mapping[str, str], data: bytes) -> Answer:
        wire = _WIRES.get(path.removeprefix("/v1"))
        if wire is None:
            message = f"the scripted model serves {', '.join(_WIRES)}, not {path}"
            return Answer(404, _encode({"error": {"message": message, "type": "invalid_request_error"}}))
        try:
            request = _read(wire, headers, data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._refused(wire, 400, f"the scripted model cannot read this request: {error!r}")
        return self._answer(wire, self._record(request))

    def _record(self, request: ModelRequest) -> ModelRequest:
        with self._lock:
            self._attempts[request.fingerprint] += 1
            request = replace(request, attempt=self._attempts[request.fingerprint])
            self._requests.append(request)
        return request

    def _answer(self, wire: Wire, request: ModelRequest) -> Answer:
        faults = "; ".join(_protocol.faults(request)) if self._strict else ""
        if faults:
            return self._refused(wire, 400, faults)
        try:
            return _render(wire, request, self._reply(request))
        except Exception as error:
            logger.exception("the model's script failed")
            # Neither Conductor's HTTP client nor the agent's policy repeats a call on this one: the run fails at once.
            return self._failed(wire, HTTPStatus.UNPROCESSABLE_ENTITY, error)

    def _refused(self, wire: Wire, status: int, message: str) -> Answer:
        error = AssertionError(f"{wire.provider} would refuse the request: {message}")
        logger.error("%s", error)
        return self._failed(wire, status, error)

    def _failed(self, wire: Wire, status: int, error: Exception) -> Answer:
        with self._lock:
            self._errors.append(error)
        message = f"{type(error).__name__}: {error}"
        return Answer(status, _encode(wire.refuse(Failure(status, message))))


def as_function(script: Script) -> Callable[[ModelRequest], Reply]:
    """The script as a function from a request to its reply."""
    return script if callable(script) else _in_order(tuple(script))


def _in_order(replies: tuple[Reply, ...]) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        if request.turn >= len(replies):
            raise AssertionError(f"the script has {len(replies)} replies; the agent asked for reply {request.turn + 1}")
        return replies[request.turn]

    return reply


def _read(wire: Wire, headers: Mapping[str, str], data: bytes) -> ModelRequest:
    body: dict[str, Any] = json.loads(data)
    if body.get("stream"):
        raise ValueError("it does not stream")
    asked = wire.read(body)
    shown = {name: "(removed)" if name in _SECRET_HEADERS else value for name, value in headers.items()}
    return ModelRequest(
        provider=wire.provider,
        model=body["model"],
        system=asked.system,
        messages=asked.messages,
        tools=asked.tools,
        body=body,
        headers=shown,
        fingerprint=fingerprint_of(body["model"], asked.messages),
        tokens=estimate_tokens(data),
    )


def _render(wire: Wire, request: ModelRequest, reply: Reply) -> Answer:
    if not isinstance(reply, Reply):
        raise TypeError(
            f"the script gave {reply!r}; it must give say(…), call(…), calls(…), fail(…), raw(…) or hang(…)"
        )
    if reply.dropped:
        return Answer(None, delay=reply.delay)
    if reply.body is not None:
        return Answer(HTTPStatus.OK, _encode(reply.body), delay=reply.delay)
    if reply.failure is None:
        return Answer(HTTPStatus.OK, _encode(wire.write(request, reply)), delay=reply.delay)
    failure = reply.failure
    headers = {} if failure.retry_after is None else {"retry-after": f"{failure.retry_after:g}"}
    return Answer(failure.status, _encode(wire.refuse(failure)), headers, reply.delay)


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()
