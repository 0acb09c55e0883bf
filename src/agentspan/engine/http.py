"""Requests to Conductor, on conductor-python's HTTP client: answers leave here parsed, failures as our errors."""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
from conductor.client.configuration.configuration import Configuration
from conductor.client.http.api_client import ApiClient
from conductor.client.http.rest import ApiException, RESTClientObject

from agentspan import forks
from agentspan.config import Settings
from agentspan.engine.answers import no_conductor, nobody_listens, page, translated
from agentspan.engine.nodes import Nodes
from agentspan.engine.proxies import Proxy, named_for, proxy_for
from agentspan.engine.tokens import TokenAuth
from agentspan.errors import ConfigError, ServerUnreachable

CONNECT = 2.0
"""Seconds to wait for a connection, where there is another node."""

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=30.0)

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


class Connection:
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
            if self._on_absent is None or self.reached or not nobody_listens(error):
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
            failure = translated(error, self.settings, f"{method} {path}")
            self.reached = self.reached or not isinstance(failure, ServerUnreachable)
            raise failure from error
        if isinstance(answer, str) and (title := page(answer)) is not None:
            raise no_conductor(self.settings.address, f"answered {method} {path} with {title}")
        self.reached = True
        return answer

    def _timeout(self, fail_over: float | None) -> tuple[float, float] | None:
        if fail_over is None or len(self.settings.base_urls) == 1:
            return None
        return CONNECT, min(fail_over, self.settings.request_timeout)

    def headers(self) -> dict[str, str]:
        """What shows the server who asks, for requests that are made elsewhere: as of the newest request made here."""
        return self._http.auth.headers if isinstance(self._http.auth, TokenAuth) else {}


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


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
