"""Tools behind an address: a worker makes an HTTP request of the model's arguments, and tells what came back."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode

from agentspan.declare.credentials import Credentials
from agentspan.declare.policy import Retry, check_count, whole_seconds
from agentspan.declare.tool import Tool, current_tool_context
from agentspan.errors import DefinitionError, ToolFailed
from agentspan.remote.arguments import Placed, Where, as_json, in_header, in_path, pairs
from agentspan.remote.environment import behind_host, filled, handed, names_in, placed
from agentspan.remote.multipart import MULTIPART_TYPE, for_models, written
from agentspan.schema.foreign import given_arguments

Pairs = tuple[tuple[str, str], ...]

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
KEYED = ("POST", "PATCH")
"""Methods whose requests have a key of their call."""

_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")

_CONTENT_TYPES = (JSON_TYPE, FORM_TYPE, MULTIPART_TYPE)

_BLANKS = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})|\{([^{}]+)\}")
"""What a URL leaves open: `${NAME}` to the environment, `{name}` to the model."""

_ACCEPT = "application/json, text/*;q=0.9, */*;q=0.5"

SLACK = 5
"""Seconds above a request's own time limit after which its worker gives it up."""


@dataclass(frozen=True)
class Request:
    """A request to be made. It holds secrets.

    Attributes:
        method: Such as `GET`.
        url: All of the address.
        headers: Its headers.
        content: Its body.
        shown: How messages name it: without the secrets.
        credentials: The secrets in it.
        timeout: Seconds it may take.
        max_bytes: How much of the answer is read.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    shown: str
    credentials: Credentials
    timeout: float
    max_bytes: int


class Client(Protocol):
    """The module that makes requests; loaded with the first one."""

    def answer(self, request: Request) -> object:
        """What came back."""


@dataclass(frozen=True)
class HttpCall:
    """Makes the request of one tool; it stands where a tool's function stands.

    Attributes:
        tool: The tool's name.
        method: The HTTP method.
        url: With `${NAME}` for the environment's, and `{name}` for the model's values.
        headers: Sent with each request.
        basic: `user:password` of basic authentication.
        places: Where arguments go, by their names; others go to the query, or to the body where there is one.
        content_type: How the body is written.
        files: The fields of a multipart body that are files.
        timeout: Seconds a request may take.
        max_bytes: How much of an answer is read.
    """

    tool: str
    method: str
    url: str
    headers: Pairs = field(default=(), repr=False)
    basic: str = field(default="", repr=False)
    places: tuple[tuple[str, Placed], ...] = ()
    content_type: str = JSON_TYPE
    files: tuple[str, ...] = ()
    timeout: float = 30
    max_bytes: int = 100_000

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the secrets in its requests: all in its texts, but for one by which the address begins."""
        return names_in(behind_host(self.url), self.basic, *(value for _, value in self.headers))

    def __call__(self, /, **arguments: Any) -> object:
        """What the address answered: JSON as its value, other text as text.

        Raises:
            ToolFailed: It answered with an error that another try does not help; a credential is not there.
            ConnectionError: It cannot be reached, or broke off what may be asked again.
            RetryTool: It is busy.
        """
        context = current_tool_context()
        credentials = handed(self.credentials, f"The tool {self.tool}")
        request = self.request(arguments, credentials, None if context is None else context.idempotency_key)
        came = cast(Client, import_module("agentspan.remote._http_client")).answer(request)
        return Credentials({"basic": self._login(credentials)}).masked(came)

    def request(self, arguments: Mapping[str, Any], credentials: Credentials, key: str | None) -> Request:
        """The request for these arguments.

        Args:
            arguments: By the names that they have there.
            credentials: The secrets by their names.
            key: Tells the call from all others, so that it is not done twice.

        Raises:
            ToolFailed: An argument cannot stand where it belongs; nothing says where the address is.
        """
        by_place = dict(self.places)
        parts: dict[Where, list[tuple[Placed, Any]]] = {}
        for name, value in arguments.items():
            default: Where = "query" if self.method in _WITHOUT_BODY else "body"
            where = by_place.get(name, Placed(default, name))
            parts.setdefault(where.where, []).append((where, value))
        url = self._address({each.name: in_path(each, value) for each, value in parts.get("path", ())}, credentials)
        if query := urlencode(pairs(parts.get("query", ()))):
            url += f"{'&' if '?' in url else '?'}{query}"
        headers = {name: filled(value, credentials) for name, value in self.headers}
        if login := self._login(credentials):
            headers["Authorization"] = f"Basic {login}"
            credentials = Credentials({**credentials, "basic": login})
        given_headers = [(each, value) for each, value in parts.get("header", ()) if value is not None]
        headers |= {each.name: in_header(each, value) for each, value in given_headers}
        if cookies := "; ".join(f"{name}={quote(value)}" for name, value in pairs(parts.get("cookie", ()))):
            headers["Cookie"] = f"{headers['Cookie']}; {cookies}" if "Cookie" in headers else cookies
        content, content_type = self._body(parts)
        own = {
            "Accept": _ACCEPT,
            "Content-Type": content_type if content is not None else None,
            "Idempotency-Key": key if self.method in KEYED else None,
        }
        given = {name.lower() for name in headers}
        headers |= {name: value for name, value in own.items() if value and name.lower() not in given}
        return Request(
            method=self.method,
            url=url,
            headers=headers,
            content=content,
            shown=f"{self.method} {self.url.partition('?')[0]}",
            credentials=credentials,
            timeout=self.timeout,
            max_bytes=self.max_bytes,
        )

    def _login(self, credentials: Credentials) -> str:
        """What basic authentication sends, which is no credential by itself and tells one."""
        return b64encode(filled(self.basic, credentials).encode()).decode()

    def _address(self, values: Mapping[str, str], credentials: Credentials) -> str:
        address = placed(self.url, f"The tool {self.tool}")

        def put(found: re.Match[str]) -> str:
            if not found[1]:
                return values[found[2]]
            value = filled(found[1], credentials)
            return quote(value, safe="") if "?" in address[: found.start()] else value

        return _BLANKS.sub(put, address)

    def _body(self, parts: Mapping[Where, Sequence[tuple[Placed, Any]]]) -> tuple[bytes | None, str]:
        whole = parts.get("whole body")
        fields = parts.get("body", ())
        if not whole and not fields:
            return None, self.content_type
        if self.content_type in (FORM_TYPE, MULTIPART_TYPE):
            fields = [(Placed("body", name), value) for name, value in _form(whole).items()] if whole else fields
            if self.content_type == MULTIPART_TYPE:
                return written([(each.name, value) for each, value in fields if value is not None], self.files)
            return urlencode(pairs(fields)).encode(), self.content_type
        value = whole[0][1] if whole else {each.name: value for each, value in fields}
        if self.content_type.startswith("text/") and isinstance(value, str):
            return value.encode(), self.content_type
        return as_json(value).encode(), self.content_type


def http_tool(
    name: str,
    description: str,
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    input_schema: Mapping[str, Any] | None = None,
    accept: str | None = None,
    content_type: str = JSON_TYPE,
    credentials: Sequence[str] | None = None,
    *,
    retry: Retry = Retry(),  # noqa: B008 - a frozen value
    timeout: float = 30,
    max_bytes: int = 100_000,
) -> Tool[..., Any]:
    """A tool that is an HTTP request, made by a worker.

        weather = http_tool(
            "weather",
            "The weather in a city.",
            "https://api.example.com/v1/{city}/weather",
            headers={"X-Key": "${WEATHER_KEY}"},
        )

    The model gets JSON as its value, and other text as text. A status of 400 or more is the call's error, with what
    the answer says. Redirects are followed for GET, within the same host.

    Args:
        name: What models call it.
        description: What models are told it does.
        url: The address. `{name}` stands for an argument of the model, behind the host only; `${NAME}` for a
            credential, here as in `headers`: the worker that makes the call has it, and it is in no definition, error
            or result. A name by which the address begins is a variable of the worker's environment, and no secret.
        method: The HTTP method.
        headers: Sent with each request.
        input_schema: JSON Schema of the arguments; without one they are those that `url` names, as texts. What `url`
            does not name goes to the query of GET, HEAD, DELETE and OPTIONS, and to the body of the others.
        accept: What to ask for; JSON, then any text, unless given.
        content_type: How a body is written: `application/json`, `application/x-www-form-urlencoded`, or
            `multipart/form-data`, whose fields of the format `binary` are files that the model writes as texts.
        credentials: Names of credentials that are kept out of results, beside those that are named in texts.
        retry: How often a call is tried when the address cannot be reached, is busy (429, 503), or breaks off or fails
            (500, 502, 504) a request that may be made twice. POST and PATCH have an `Idempotency-Key`, the same for
            every attempt, and are made again only where the first request was not taken.
        timeout: Whole seconds a request may take.
        max_bytes: How much of an answer is read; the model is told where it was cut.

    Raises:
        DefinitionError: A value makes no sense.
    """
    what = f"tool {name!r}"
    method = method.upper()
    if method not in _METHODS:
        raise DefinitionError(f"{what}: method is one of {', '.join(_METHODS)}, not {method!r}")
    if content_type not in _CONTENT_TYPES:
        raise DefinitionError(f"{what}: content_type is one of {', '.join(_CONTENT_TYPES)}, not {content_type!r}")
    check_address(url, what)
    sent = dict(headers or {}) | ({"Accept": accept} if accept else {})
    schema = _with_blanks(input_schema or {}, url)
    files: tuple[str, ...] = ()
    if content_type == MULTIPART_TYPE:
        schema, files = for_models(schema)
    call = HttpCall(
        tool=name,
        method=method,
        url=url,
        headers=tuple(sent.items()),
        places=tuple((each, Placed("path", each)) for each in blanks_of(url)),
        content_type=content_type,
        files=files,
        timeout=whole_seconds(timeout, f"{what}: timeout", least=1),
        max_bytes=max_bytes,
    )
    return tool_of(call, description, schema, retry, tuple(credentials or ()))


def tool_of(
    call: HttpCall,
    description: str,
    parameters: object,
    retry: Retry,
    credentials: tuple[str, ...],
    *,
    document: object = None,
) -> Tool[..., Any]:
    """The tool that makes a request.

    Args:
        call: Makes it.
        description: What models are told it does.
        parameters: JSON Schema of its arguments.
        retry: How often it is tried.
        credentials: Those that it is handed beside its own.
        document: Where references of the schema point into.
    """
    what = f"tool {call.tool!r}"
    check_count(call.max_bytes, f"{what}: max_bytes", 100, 2_000_000)
    arguments = given_arguments(parameters, what, document)
    return Tool(
        call,
        call.tool,
        description,
        arguments,
        retry=retry,
        timeout=call.timeout + SLACK,
        credentials=(*call.credentials, *credentials),
    )


def check_address(url: str, what: str) -> None:
    """Refuse what is no address, and one whose host the model would choose."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://", "${")):
        raise DefinitionError(f"{what}: url is such as 'https://…', not {url!r}")
    host = re.sub(r"\$\{\w+\}", "", url).removeprefix("http://").removeprefix("https://").partition("/")[0]
    if "{" in host:
        raise DefinitionError(f"{what}: the model would choose the host of {url!r}", hint="Put {…} behind the host.")


def blanks_of(url: str) -> list[str]:
    """The arguments that an address leaves open."""
    return list(dict.fromkeys(name for _, name in _BLANKS.findall(url) if name))


def _form(whole: Sequence[tuple[Placed, Any]]) -> Mapping[str, Any]:
    fields = whole[0][1]
    if not isinstance(fields, Mapping):
        raise ToolFailed(f"{whole[0][0].name} is a form: send an object with its fields")
    return fields


def _with_blanks(schema: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The schema with what the URL names: no request can be made without it."""
    blanks = blanks_of(url)
    properties = dict(schema.get("properties", {}))
    for name in blanks:
        properties.setdefault(name, {"type": "string"})
    required = list(dict.fromkeys((*blanks, *schema.get("required", ()))))
    closed = {"additionalProperties": False} if not properties else {}
    return {"type": "object", **closed, **schema, "properties": properties, "required": required}
