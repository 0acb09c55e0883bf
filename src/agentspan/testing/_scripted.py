"""The scripted model: a provider's API whose answers a test decides."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from agentspan.testing import _protocol
from agentspan.testing._anthropic import MESSAGES
from agentspan.testing._cache import PromptCache
from agentspan.testing._chat import CHAT
from agentspan.testing._conversation import ModelRequest, estimate_tokens, fingerprint_of
from agentspan.testing._gemini import GEMINI
from agentspan.testing._http import HOST, Answer, JsonServer
from agentspan.testing._replies import Failure, Reply
from agentspan.testing._responses import RESPONSES
from agentspan.testing._wire import Chunks, Wire

Script = Callable[[ModelRequest], Reply] | Sequence[Reply]

logger = logging.getLogger("agentspan.testing")
_WIRES = (RESPONSES, CHAT, MESSAGES, GEMINI)
_SECRET_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"}
)


class ScriptedModel:
    """A model provider on a loopback port, answering by a script.

    It speaks OpenAI Responses, OpenAI Chat Completions, Anthropic Messages and Gemini's `generateContent`, whole or as
    a stream, so that a real Conductor server, or a provider's own client, calls it as it would call the provider.

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
        strict: Whether to refuse what the real provider would: a tool result without its call, a call
            without its result, an id used twice, a bad tool name, a thought that was not sent back. The refusal is
            also one of `errors`.
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
        self._cache = PromptCache()

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
    def gemini_url(self) -> str:
        """The base URL for Gemini's own client."""
        return self.anthropic_url

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
        found = next(((wire, match) for wire in _WIRES if (match := wire.path.fullmatch(path))), None)
        if found is None:
            message = f"the scripted model serves {', '.join(wire.shown for wire in _WIRES)}, not {path}"
            return Answer(404, _encode({"error": {"message": message, "type": "invalid_request_error"}}))
        wire, match = found
        try:
            request = _read(wire, match.groupdict(), headers, data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._refused(wire, 400, f"the scripted model cannot read this request: {error!r}")
        return self._answer(wire, self._record(request))

    def _record(self, request: ModelRequest) -> ModelRequest:
        with self._lock:
            self._attempts[request.fingerprint] += 1
            request = replace(request, attempt=self._attempts[request.fingerprint])
            if request.provider == "anthropic":
                read, written = self._cache.count(request.body)
                request = replace(request, cached_tokens=read, cache_write_tokens=written)
            self._requests.append(request)
        return request

    def _answer(self, wire: Wire, request: ModelRequest) -> Answer:
        faults = "; ".join([*_protocol.faults(request), *wire.faults(request)]) if self._strict else ""
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


def _read(wire: Wire, given: Mapping[str, str | None], headers: Mapping[str, str], data: bytes) -> ModelRequest:
    body: dict[str, Any] = json.loads(data)
    asked = wire.read(body)
    shown = {name: "(removed)" if name in _SECRET_HEADERS else value for name, value in headers.items()}
    model = given.get("model") or body["model"]
    return ModelRequest(
        provider=wire.provider,
        model=model,
        system=asked.system,
        messages=asked.messages,
        tools=asked.tools,
        body=body,
        headers=shown,
        fingerprint=fingerprint_of(model, asked.messages),
        tokens=estimate_tokens(data),
        streamed=given.get("how") == "streamGenerateContent" or bool(body.get("stream")),
    )


def _render(wire: Wire, request: ModelRequest, reply: Reply) -> Answer:
    if not isinstance(reply, Reply):
        raise TypeError(
            f"the script gave {reply!r}; it must give say(…), call(…), calls(…), fail(…), raw(…) or hang(…)"
        )
    if reply.failure is not None:
        return _failure(wire, reply.failure, reply.delay)
    if reply.dropped and not (reply.pieces and request.streamed):
        return Answer(None, delay=reply.delay)
    body = wire.write(request, reply) if reply.body is None else reply.body
    if not request.streamed:
        return Answer(HTTPStatus.OK, _encode(body), delay=reply.delay)
    pieces = (*reply.pieces, _CUT) if reply.dropped else reply.pieces
    return Answer(HTTPStatus.OK, delay=reply.delay, stream=_encoded(wire.stream(body, pieces)), cut=reply.dropped)


_CUT = threading.Event()
"""The piece at which a connection is closed."""


def _failure(wire: Wire, failure: Failure, delay: float) -> Answer:
    after, headers = failure.retry_after, {}
    if after is not None:
        headers["retry-after"] = format_datetime(after, usegmt=True) if isinstance(after, datetime) else f"{after:g}"
    return Answer(failure.status, _encode(wire.refuse(failure)), headers, delay)


def _encoded(chunks: Chunks) -> Iterator[bytes | float | threading.Event]:
    """Server-sent events, and the pauses between them."""
    for chunk in chunks:
        if chunk is _CUT:
            return
        if isinstance(chunk, tuple):
            name, data = chunk
            text = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
            yield ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()
        elif not isinstance(chunk, str):
            yield chunk


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()
