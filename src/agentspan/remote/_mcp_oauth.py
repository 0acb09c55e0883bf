"""Tokens for sessions with MCP servers: got, renewed and kept out of what is told, by the official client's flow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from agentspan.declare.credentials import Credentials
from agentspan.remote.environment import filled, keep_discreet, keep_from_logs, placed
from agentspan.remote.oauth import OAuthClient

REMEMBERED = 4
"""Tokens of a session that are kept out of its results: calls may be under way with one that has been renewed."""

ANSWER = 30.0
"""Seconds that the authorisation server may take for an answer."""


class Tokens:
    """The tokens of one session, in memory alone.

    Attributes:
        failure: Why there is none that holds; None where nothing is known against it.
    """

    def __init__(self) -> None:
        self.failure: OAuthFlowError | httpx2.HTTPError | None = None
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._hidden = Credentials()

    @property
    def begun(self) -> bool:
        """Whether there has been one: before that no call is in the session."""
        return bool(self._seen)

    def masked(self, value: Any) -> Any:
        """JSON data, or a text, with `***` in the place of each token."""
        return self._hidden.masked(value)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep out of results and logs what was got; the flow holds it."""
        self._seen += [token for token in (tokens.access_token, tokens.refresh_token) if token]
        self._hidden = _named(self._seen)
        _of_process.extend(self._seen)
        keep_from_logs(_named(_of_process))

    async def get_tokens(self) -> OAuthToken | None:
        """None: a session begins without."""
        return None

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """None: the client is known beforehand."""
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Nothing: the client is known beforehand."""


class Authorisation(ClientCredentialsOAuthProvider):
    """Lets the requests of a session in.

    The flow of the official client makes one request at a time, and a request may be a call that takes minutes; what
    fails in it ends the session with all its calls. So requests are made beside it, and it only gets the tokens.
    """

    def __init__(self, client: OAuthClient, url: str, credentials: Credentials, tokens: Tokens, what: str) -> None:
        issuer = filled(placed(client.issuer, what), credentials)
        super().__init__(
            url,
            tokens,
            client_id=filled(client.client_id, credentials),
            client_secret=filled(client.client_secret, credentials),
            issuer=issuer,
        )
        self._tokens = tokens
        self._scope = client.scope
        self._renewal = asyncio.Lock()
        self._untaken = OAuthFlowError(f"it does not take the token that {issuer} gave, or wants one that may do more")

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Make a request, and once more with a new token where the server wants one."""
        sent_with = self._let_in(request)
        response = yield request
        if response.status_code == 401:
            if not await self._renewed(request, response, sent_with):
                return
            self._let_in(request)
            response = yield request
        self._tokens.failure = self._untaken if response.status_code in (401, 403) else None

    async def _renewed(self, request: httpx2.Request, response: httpx2.Response, sent_with: str | None) -> bool:
        async with self._renewal:
            if self._token not in (None, sent_with):  # another request has renewed it meanwhile
                return True
            flow = super().async_auth_flow(request)
            try:
                async with httpx2.AsyncClient(timeout=ANSWER) as http:
                    await _run(http, flow, request, await anext(flow))
                    await _run(http, flow, request, await flow.asend(response))
            except (OAuthFlowError, httpx2.HTTPError) as error:
                self._tokens.failure = error
                if not self._tokens.begun:
                    raise
                return False
            finally:
                await flow.aclose()
            return True

    @property
    def _token(self) -> str | None:
        held = self.context.current_tokens
        return held.access_token if held is not None and self.context.is_token_valid() else None

    def _let_in(self, request: httpx2.Request) -> str | None:
        token = self._token
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return token

    async def _perform_authorization(self) -> httpx2.Request:
        known, metadata = self.context.client_info, self.context.oauth_metadata
        ways = metadata.token_endpoint_auth_methods_supported if metadata is not None else None
        if known is not None and ways and "client_secret_basic" not in ways and "client_secret_post" in ways:
            known.token_endpoint_auth_method = "client_secret_post"
        if self._scope is not None:
            self.context.client_metadata.scope = self._scope
        return await super()._perform_authorization()


def _named(tokens: Iterable[str]) -> Credentials:
    return Credentials({f"token {number}": token for number, token in enumerate(list(tokens))})


async def _run(
    http: httpx2.AsyncClient,
    flow: AsyncGenerator[httpx2.Request, httpx2.Response],
    until: httpx2.Request,
    outgoing: httpx2.Request,
) -> None:
    """Make the requests that a flow wants, until it comes to the one that it is for."""
    while outgoing is not until:
        response = await http.send(outgoing)
        if response.status_code == 429 or response.status_code >= 500:  # which says nothing of the client
            raise httpx2.NetworkError(f"{outgoing.url.host}, which authorises, answered {response.status_code}")
        outgoing = await flow.asend(response)


_of_process: deque[str] = deque(maxlen=64)
"""The newest tokens of all sessions, which are kept out of logs."""

keep_discreet("mcp.client.auth.oauth2", "mcp.client.auth.utils")
