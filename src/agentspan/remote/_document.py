"""Reading OpenAPI documents: from an address, a file, or a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from agentspan.errors import AgentspanError, ConfigError, DefinitionError, ToolError
from agentspan.remote.environment import at_declaration, behind_host, filled, names_in, placed
from agentspan.remote.http import Client, Request

Json = dict[str, Any]

Source = str | Path | Mapping[str, Any]
"""The address of a document, its file, or what is in it."""

_LARGEST = 20_000_000
"""Bytes of a document."""

_MOST_VALUES = 1_000_000
"""Values in a YAML document, counted wherever an alias puts them."""


def server_of(servers: Any, source: Source, *, secret: bool, what: str) -> str:
    """Where the API is, as its document says.

    Args:
        servers: What the document says.
        source: Where it came from.
        secret: Whether requests have secrets.
        what: Whose document it is, for messages.

    Raises:
        DefinitionError: It does not say so, or would send secrets elsewhere than where it came from.
    """
    try:
        url = _named(servers[0]["url"], servers[0].get("variables", {}))
    except (LookupError, TypeError, AttributeError):
        raise DefinitionError(f"{what}: servers has no addresses") from None
    came_from = source if isinstance(source, str) and _is_address(source) else None
    url = urljoin(came_from, url) if came_from else url
    if not _is_address(url):
        raise DefinitionError(f"{what}: the document does not say where the API is", hint="Give base_url='https://…'.")
    if came_from and secret and not _is_same_place(came_from, url):
        raise DefinitionError(
            f"{what}: the document sends secrets to {_place(url)}, which is not where it came from",
            hint=f"Give base_url={url!r} if that is right.",
        )
    return url


def _named(url: str, variables: Json) -> str:
    """A server's address with its variables' defaults. What braces are left are no names of ours."""
    found = re.sub(r"\{(\w+)\}", lambda found: str(variables.get(found[1], {}).get("default", "")), url)
    return found.replace("{", "%7B").replace("}", "%7D")


def _is_same_place(one: str, other: str) -> bool:
    """Whether secrets for the one may go to the other: not in the clear, where they did not come so."""
    first, second = urlsplit(one), urlsplit(other)
    return first.netloc == second.netloc and (first.scheme == second.scheme or second.scheme == "https")


def _place(url: str) -> str:
    return f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"


@contextmanager
def understood(what: str) -> Iterator[None]:
    """What is read of a document, which may be written otherwise than its version says."""
    try:
        yield
    except AgentspanError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise DefinitionError(
            f"{what}: the document is not written as OpenAPI 3 says: {type(error).__name__}: {error}",
            hint="An editor for OpenAPI shows where.",
        ) from error


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "${"))


def shown(source: Source) -> str:
    """What messages call a document."""
    return title_of(source) or "document" if isinstance(source, Mapping) else str(source).partition("?")[0]


def title_of(document: Mapping[str, Any]) -> str:
    """The title that a document gives itself."""
    info = document.get("info")
    return str(info.get("title", "")) if isinstance(info, Mapping) else ""


def read_document(source: Source, headers: Mapping[str, str], what: str) -> Json:
    """A document, from wherever it is.

    Raises:
        DefinitionError: It cannot be read, or is of another version.
        ConfigError: A credential that its address needs is not there, or it is YAML and PyYAML is not installed.
    """
    found = dict(source) if isinstance(source, Mapping) else _read(str(source), headers, what)
    if not str(found.get("openapi", "")).startswith("3."):
        version = found.get("openapi") or found.get("swagger") or "no OpenAPI"
        raise DefinitionError(
            f"{what}: the document is {version}, and not OpenAPI 3", hint="Converters from Swagger 2 make one of it."
        )
    return found


def _read(source: str, headers: Mapping[str, str], what: str) -> Json:
    try:
        text = _fetched(source, headers, what) if _is_address(source) else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{what}: the document cannot be read: {error}") from error
    try:
        found = json.loads(text)
    except ValueError:
        found = _yaml(text, what)
    except RecursionError:
        raise DefinitionError(f"{what}: the document is nested too deep") from None
    if not isinstance(found, dict):
        raise DefinitionError(f"{what}: the document is no OpenAPI")
    return found


def _fetched(url: str, headers: Mapping[str, str], what: str) -> str:
    credentials = at_declaration(names_in(behind_host(url), *headers.values()), what)
    try:
        request = Request(
            method="GET",
            url=filled(placed(url, what), credentials),
            headers={name: filled(value, credentials) for name, value in headers.items()},
            content=None,
            shown=f"GET {url.partition('?')[0]}",
            credentials=credentials,
            timeout=30,
            max_bytes=_LARGEST,
        )
        return json.dumps(found) if isinstance(found := _client().answer(request), (dict, list)) else str(found)
    except (ToolError, ConnectionError) as error:
        raise DefinitionError(f"{what}: the document cannot be read: {error}") from None


def _yaml(text: str, what: str) -> object:
    if find_spec("yaml") is None:
        raise ConfigError(f"{what}: the document is no JSON; YAML needs PyYAML", hint="pip install pyyaml")
    yaml = import_module("yaml")
    try:
        found = yaml.load(text, Loader=_plain_loader(yaml))
    except yaml.YAMLError as error:
        raise DefinitionError(f"{what}: the document is neither JSON nor YAML: {error}") from None
    except RecursionError:
        raise DefinitionError(f"{what}: the document is nested too deep") from None
    if not _ends(found):
        raise DefinitionError(f"{what}: the document's aliases make more than {_MOST_VALUES:,} values of it")
    return found


def _ends(document: object) -> bool:
    """Whether a document is as large as it looks: aliases of YAML may stand for one another without end."""
    values, seen = [document], 0
    while values and seen <= _MOST_VALUES:
        value = values.pop()
        seen += 1
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not values


def _plain_loader(yaml: Any) -> Any:
    """A loader that leaves dates as texts, as JSON has them."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _client() -> Client:
    return cast(Client, import_module("agentspan.remote._http_client"))
