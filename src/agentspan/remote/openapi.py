"""The operations of an OpenAPI document as tools: read when they are declared, called by workers."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from agentspan.declare.policy import Retry, check_count, whole_seconds
from agentspan.declare.tool import Tool
from agentspan.declare.toolset import Toolset, toolset
from agentspan.errors import DefinitionError
from agentspan.remote._document import Source, read_document, server_of, shown, title_of, understood
from agentspan.remote.arguments import Placed, Style
from agentspan.remote.http import FORM_TYPE, JSON_TYPE, KEYED, HttpCall, blanks_of, check_address, tool_of
from agentspan.remote.multipart import MULTIPART_TYPE, for_models
from agentspan.schema.foreign import found_at, name_for_models

log: logging.Logger = logging.getLogger("agentspan.remote")

Json = dict[str, Any]

_OF_OURS = ("Accept", "Authorization", "Content-Type", "Connection", "Content-Length", "Host", "Transfer-Encoding")
"""Headers that no argument is for: OpenAPI says so of the first three, and of the others HTTP."""

_STYLES: dict[str, Style] = {
    "form": "form",
    "simple": "form",
    "deepObject": "deepObject",
    "spaceDelimited": "spaceDelimited",
    "pipeDelimited": "pipeDelimited",
}
"""How arguments are written, by the words of the document."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


@dataclass(frozen=True)
class _Api:
    """A document, and what all its tools have in common."""

    name: str
    document: Json
    source: Source
    base_url: str
    headers: Mapping[str, str]
    auth: Mapping[str, str]
    credentials: tuple[str, ...]
    retry: Retry
    timeout: int
    max_bytes: int

    @property
    def has_secrets(self) -> bool:
        """Whether its requests have what not everybody may see."""
        return bool(self.headers or self.auth)


@dataclass
class _Operation:
    """One operation of a document, with its parameters found."""

    name: str
    method: str
    path: str
    told: Json
    parameters: list[Json]
    servers: object

    @property
    def tags(self) -> list[str]:
        return list(self.told.get("tags", ()))

    @property
    def description(self) -> str:
        texts = (self.told.get("summary"), self.told.get("description"))
        return "\n\n".join(dict.fromkeys(text.strip() for text in texts if text)) or f"{self.method} {self.path}"


class _Impossible(Exception):
    """An operation that no tool can call; the text says why."""


def api_tool(
    url: Source,
    name: str | None = None,
    description: str | None = None,
    headers: Mapping[str, str] | None = None,
    tool_names: Collection[str] | None = None,
    max_tools: int = 64,
    credentials: Sequence[str] | None = None,
    *,
    tags: Collection[str] | None = None,
    base_url: str | None = None,
    auth: Mapping[str, str] | None = None,
    prefix: str = "",
    retry: Retry = Retry(),  # noqa: B008 - a frozen value
    timeout: float = 30,
    max_bytes: int = 100_000,
) -> Toolset:
    """The operations of an HTTP API that has an OpenAPI 3 document, each a tool as `http_tool` makes them.

        shop = api_tool("shop.json", auth={"apiKey": "${SHOP_KEY}"}, tags=["orders"])
        agent = Agent("clerk", model="openai/gpt-4o", tools=[shop])

    The document is read now; that is what models are told until the agent is declared again. An operation is named by
    its `operationId`, or by its method and path. Its body is the argument `body`.

    Args:
        url: The document: its address, its file (JSON, or YAML where PyYAML is installed), or what is in it.
        name: What messages call the API; the document's title unless given.
        description: For people who read the script; models are told what the document says of each operation.
        headers: Sent with each request, and for the document where it has an address. `${NAME}` stands for a
            credential of the worker that makes the call, as in `http_tool`; so it does in `auth` and `base_url`.
        tool_names: The operations to take; all unless given.
        max_tools: With more than this the declaration is refused: a model is lost among too many.
        credentials: As in `http_tool`.
        tags: Take the operations with one of these tags.
        base_url: Where the API is; the document's first server unless given. It must be given where that is another
            host than the document came from and secrets are to be sent there.
        auth: What the document's security schemes ask for, by their names: a key, a token, or `user:password`.
        prefix: Put before the tools' names.
        retry: As in `http_tool`.
        timeout: As in `http_tool`.
        max_bytes: As in `http_tool`.

    Raises:
        DefinitionError: The document cannot be read, is of another version, has no such operation, or too many.
        ConfigError: A credential that the document's address needs is not there.
    """
    what = f"api_tool {name or shown(url)!r}"
    check_count(max_tools, f"{what}: max_tools", 1, 10_000)
    document = read_document(url, headers or {}, what)
    api = _Api(
        name=name or title_of(document) or shown(url),
        document=document,
        source=url,
        base_url=base_url or "",
        headers=headers or {},
        auth=auth or {},
        credentials=tuple(credentials or ()),
        retry=retry,
        timeout=whole_seconds(timeout, f"{what}: timeout", least=1),
        max_bytes=max_bytes,
    )
    with understood(what):
        check_address(base_url or _server(api, document.get("servers"), what), what)
        _check_auth(api, what)
        operations = [each for each in _operations(api, what) if tags is None or set(tags) & set(each.tags)]
        if tool_names is not None:
            _check_there(tool_names, operations, what)
            operations = [each for each in operations if each.name in tool_names]
        if len(operations) > max_tools:
            names = ", ".join(each.name for each in operations[: max_tools + 1])
            raise DefinitionError(
                f"{what} has {len(operations)} operations, more than max_tools={max_tools}: {names}, …",
                hint="Choose some of them: tool_names=[…] or tags=[…].",
            )
        tools = list(_tools(api, operations, what, all_wanted=tool_names is not None))
    return toolset(tools, prefix=prefix)


def _server(api: _Api, servers: object, what: str) -> str:
    return api.base_url or server_of(servers or [{"url": "/"}], api.source, secret=api.has_secrets, what=what)


def _tools(api: _Api, operations: list[_Operation], what: str, *, all_wanted: bool) -> Iterator[Tool[..., Any]]:
    for each in operations:
        try:
            yield _tool(api, each)
        except _Impossible as why:
            if all_wanted:
                raise DefinitionError(f"{what}: {each.name} cannot be a tool: {why}") from None
            log.warning("%s: %s is left out: %s", what, each.name, why)


def _tool(api: _Api, operation: _Operation) -> Tool[..., Any]:
    properties: Json = {}
    required: list[str] = []
    places: list[tuple[str, Placed]] = []
    secured = _secured(api, operation)
    address = _address(api, operation)
    for parameter in operation.parameters:
        if (parameter["in"], parameter["name"].lower()) in secured.parameters:
            continue
        argument = parameter["name"]
        while argument in properties:
            argument += f"_{parameter['in']}"
        properties[argument] = _described(parameter)
        places.append((argument, _placed(parameter)))
        if parameter.get("required") or parameter["in"] == "path":
            required.append(argument)
    described = {parameter["name"] for parameter in operation.parameters if parameter["in"] == "path"}
    for name in blanks_of(address):
        if name not in described:
            argument = f"{name}_path" if name in properties else name
            properties[argument] = {"type": "string"}
            places.append((argument, Placed("path", name)))
            required.append(argument)
    content_type, body, needed = _body(api, operation)
    files: tuple[str, ...] = ()
    if body is not None:
        argument = "body"
        while argument in properties:
            argument = f"request_{argument}"
        if content_type == MULTIPART_TYPE:
            body, files = for_models(_form(api, body))
        properties[argument] = body
        places.append((argument, Placed("whole body", "body")))
        required += [argument] if needed else []
    call = HttpCall(
        tool=operation.name,
        method=operation.method,
        url="?".join(filter(None, (address, "&".join(secured.query)))),
        headers=(*api.headers.items(), *secured.headers),
        basic=secured.basic,
        places=tuple(places),
        content_type=content_type,
        files=files,
        timeout=api.timeout,
        max_bytes=api.max_bytes,
    )
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return tool_of(call, operation.description, schema, api.retry, api.credentials, document=api.document)


def _address(api: _Api, operation: _Operation) -> str:
    try:
        base_url = _server(api, operation.servers or api.document.get("servers"), api.name)
    except DefinitionError as error:
        raise _Impossible(error.message) from None
    return base_url.rstrip("/") + operation.path


def _operations(api: _Api, what: str) -> list[_Operation]:
    found: list[_Operation] = []
    names: list[str] = []
    for path, shared in _object(api.document.get("paths") or {}, f"{what}: paths").items():
        item = _resolved(api, shared)
        for method in _METHODS:
            if method not in item:
                continue
            told = _object(item[method], f"{what}: {method} {path}")
            plain = re.sub(r"[^a-zA-Z0-9]+", "_", f"{method}_{path}").strip("_")
            names.append(name_for_models(told.get("operationId") or plain, names))
            parameters = {}
            for each in (*item.get("parameters", ()), *told.get("parameters", ())):
                parameter = _resolved(api, each)
                if not all(isinstance(parameter.get(key), str) for key in ("in", "name")):
                    raise DefinitionError(f"{what}: {method} {path} has a parameter without its name or its place")
                parameters[parameter["in"], parameter["name"]] = parameter  # an operation's own come last
            servers = told.get("servers") or item.get("servers")
            literal = path.replace("${", "%24{")  # a document names no credentials
            found.append(_Operation(names[-1], method.upper(), literal, told, list(parameters.values()), servers))
    if not found:
        raise DefinitionError(f"{what}: the document has no operations")
    return found


def _object(node: Any, what: str) -> Json:
    if not isinstance(node, dict):
        raise DefinitionError(f"{what}: an object belongs there, not {node!r:.100}")
    return node


def _resolved(api: _Api, node: Any) -> Json:
    for _ in range(20):
        if "$ref" not in _object(node, f"{api.name}: where something is described"):
            return cast(Json, node)
        node = found_at(api.document, node["$ref"])
    raise DefinitionError(f"{api.name}: references in a ring: {node['$ref']}")


def _described(parameter: Json) -> Json:
    content: Json = parameter.get("content", {})  # a parameter may have a media type in the schema's place
    schemas = [parameter.get("schema"), *(told.get("schema") for told in content.values())]
    schema: Json = next(filter(None, schemas), {})
    description = parameter.get("description")
    return {**schema, "description": description} if description else schema


def _placed(parameter: Json) -> Placed:
    style = parameter.get("style", "form" if parameter["in"] in ("query", "cookie") else "simple")
    if style not in _STYLES:
        raise _Impossible(f"its parameter {parameter['name']} is written in the style {style!r}")
    return Placed(
        parameter["in"],
        parameter["name"],
        explode=parameter.get("explode", style == "form"),
        style="json" if parameter.get("content") else _STYLES[style],
    )


def _body(api: _Api, operation: _Operation) -> tuple[str, Json | None, bool]:
    if "requestBody" not in operation.told:
        return JSON_TYPE, None, False
    body = _resolved(api, operation.told["requestBody"])
    content = body.get("content", {})
    for kind, told in content.items():
        plain = kind.partition(";")[0].strip().lower()
        if plain in (JSON_TYPE, FORM_TYPE, MULTIPART_TYPE) or plain.endswith("+json") or plain == "*/*":
            return JSON_TYPE if plain == "*/*" else plain, told.get("schema", {}), bool(body.get("required"))
    kinds = " or ".join(content) or "of no kind"
    if not body.get("required"):
        log.warning(
            "%s: %s is called without its body, which is %s, not JSON or a form", api.name, operation.name, kinds
        )
        return JSON_TYPE, None, False
    raise _Impossible(f"its body is {kinds}, and not JSON or a form")


def _form(api: _Api, schema: Json) -> Json:
    """The schema of a form with those of its fields, so that files are seen among them."""
    found = _resolved(api, schema)
    fields = {name: _resolved(api, field) for name, field in found.get("properties", {}).items()}
    return {**found, "properties": fields} if fields else found


@dataclass
class _Secured:
    """What the environment gives to an operation's requests, and which parameters need not be given by the model."""

    query: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    basic: str = ""
    parameters: set[tuple[str, str]] = field(default_factory=set)

    def add(self, told: Json, value: str) -> None:
        if told["type"] != "apiKey":
            if told["type"] == "http" and told.get("scheme", "").lower() == "basic":
                self.basic = value
            else:
                self.headers.append(("Authorization", f"Bearer {value}"))
            return
        self.parameters.add((told["in"], told["name"].lower()))
        if told["in"] == "query":
            self.query.append(f"{quote(told['name'])}={value}")
        elif told["in"] == "cookie":
            self.headers.append(("Cookie", f"{quote(told['name'])}={value}"))
        else:
            self.headers.append((told["name"], value))


def _secured(api: _Api, operation: _Operation) -> _Secured:
    """By the first of the operation's ways in that `auth` has all keys for."""
    ways: list[Json] = operation.told.get("security", api.document.get("security")) or []
    chosen: Json = next((way for way in ways if way and all(scheme in api.auth for scheme in way)), {})
    ours = (*_OF_OURS, *api.headers, *(["Idempotency-Key"] if operation.method in KEYED else []))
    found = _Secured(parameters={("header", name.lower()) for name in ours})
    for scheme in chosen:
        found.add(_schemes(api)[scheme], api.auth[scheme])
    return found


def _schemes(api: _Api) -> Json:
    found = api.document.get("components", {}).get("securitySchemes", {})
    return {name: _resolved(api, told) for name, told in found.items()}


def _check_auth(api: _Api, what: str) -> None:
    known = ", ".join(_schemes(api)) or "none"
    for scheme in api.auth:
        if scheme not in _schemes(api):
            raise DefinitionError(f"{what}: auth names {scheme!r}; the document's security schemes are: {known}")


def _check_there(names: Collection[str], operations: list[_Operation], what: str) -> None:
    there = [each.name for each in operations]
    for name in names:
        if name not in there:
            raise DefinitionError(f"{what} has no operation named {name!r}; it has {', '.join(there) or 'none'}")
