"""Tokens for servers that ask for one: got for a key and its secret, renewed before they expire."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx

from agentspan.clock import ServerClock

HEADER = "X-Authorization"

OPAQUE_LIFE = 45 * 60.0
"""Seconds that a token is taken to live when it does not say."""

RENEWED_AFTER = 0.8
"""The part of its life after which a token is renewed."""

Flow = Generator[httpx.Request, httpx.Response, None]
Asking = Generator[httpx.Request, httpx.Response, "Token | None"]


@dataclass(frozen=True)
class Token:
    """What the server gave for the key; without a text where the server asks for none."""

    text: str = field(repr=False)
    due: float

    @classmethod
    def of(cls, text: str, now: float) -> Token:
        """A token that was given just now, at `now` by the clock of who gave it."""
        return cls(text, time.monotonic() + RENEWED_AFTER * life_of(text, now))


_NOT_NEEDED = Token("", math.inf)


class TokenAuth(httpx.Auth):
    """Gives each request a token; one for all threads.

    The token is asked for where the request goes, so the secret reaches no other host. A request that is
    refused with 401 gets a new token and is sent once more. When there is no new token to have, the answer to
    asking for one is the answer to the request.

    Args:
        key: The key's id.
        secret: Its secret.
        path: Where tokens are given, such as `/api/token`.
    """

    requires_response_body = True

    def __init__(self, key: str, secret: str, path: str) -> None:
        self._body = json.dumps({"keyId": key, "keySecret": secret}).encode()
        self._path = path.encode()
        self._token: Token | None = None
        self._lock = threading.Lock()

    @property
    def headers(self) -> dict[str, str]:
        """The newest token, for requests that are made elsewhere; empty before the first one."""
        token = self._token
        return {HEADER: token.text} if token is not None and token.text else {}

    def auth_flow(self, request: httpx.Request) -> Flow:
        """Send the request with a token; called by httpx."""
        token = self._token
        if token is None or token.due <= time.monotonic():
            token = yield from self._renewed(token, request)
        if token is None:
            return
        answer = yield _with(token, request)
        if answer.status_code == 401:
            fresh = yield from self._renewed(token, request)
            if fresh is not None and fresh is not token:
                yield _with(fresh, request)

    def _renewed(self, old: Token | None, request: httpx.Request) -> Asking:
        """Another token than `old`; `old` itself when the server cannot give one now, None when it refuses."""
        with self._lock:
            if self._token is not old:  # another thread was quicker
                return self._token
            url = request.url.copy_with(raw_path=self._path)
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            asked = time.monotonic()
            answer = yield httpx.Request(
                "POST", url, content=self._body, headers=headers, extensions=request.extensions
            )
            clock = ServerClock()  # of who gives tokens, which may be a gateway with a clock of its own
            clock.heard(answer.headers.get("Date"), asked, time.monotonic())
            if answer.status_code == 200:
                self._token = Token.of(_token_in(answer), clock.now())
            elif answer.status_code == 404:  # a Conductor without users
                self._token = _NOT_NEEDED
            elif answer.status_code in (401, 403):
                self._token = None
            return self._token


def _with(token: Token, request: httpx.Request) -> httpx.Request:
    if token.text:
        request.headers[HEADER] = token.text
    return request


def _token_in(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise httpx.RemoteProtocolError("what was given for the key is not a token") from error


def life_of(token: str, now: float) -> float:
    """Seconds that a token lives that was given at `now`: what a JWT says, else `OPAQUE_LIFE`."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        # The difference of the server's own times, as its clock and ours may differ.
        return float(claims["exp"]) - float(claims.get("iat", now))
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return OPAQUE_LIFE
