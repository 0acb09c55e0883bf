"""How long a token lives, by the clock of who gave it."""

from __future__ import annotations

import base64
import json
import time
from email.utils import formatdate

import httpx
import pytest

from agentspan.engine.tokens import HEADER, OPAQUE_LIFE, TokenAuth, life_of


def jwt(**claims: float) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


def test_a_token_says_how_long_it_lives() -> None:
    assert life_of(jwt(iat=1_000, exp=1_060), now=5.0) == 60
    assert life_of(jwt(exp=1_060), now=1_050.0) == 10
    assert life_of("opaque", now=1_000.0) == OPAQUE_LIFE
    assert life_of(jwt(iat=1_000), now=1_000.0) == OPAQUE_LIFE


class Giver:
    """Who gives tokens without `iat`, and whose clock is this much ahead of ours."""

    def __init__(self, ahead: float, life: float) -> None:
        self.ahead = ahead
        self.life = life
        self.given = 0

    def pass_on(self, auth: TokenAuth) -> str:
        """Send one request with `auth`; the token that it arrives with."""
        flow = auth.auth_flow(httpx.Request("GET", "http://conductor/api/workflow/x"))
        asked = next(flow)
        while asked.url.path == "/api/token":
            self.given += 1
            now = time.time() + self.ahead
            answer = httpx.Response(
                200,
                json={"token": jwt(exp=int(now) + self.life)},
                headers={"Date": formatdate(now, usegmt=True)},
                request=asked,
            )
            asked = flow.send(answer)
        return asked.headers[HEADER]


@pytest.mark.parametrize("ahead", [-7200.0, 0.0, 7200.0])
def test_a_token_without_the_time_it_was_given_is_kept_as_long_as_it_lives(ahead: float) -> None:
    auth, giver = TokenAuth("key", "secret", "/api/token"), Giver(ahead, life=600)

    assert giver.pass_on(auth) == giver.pass_on(auth)
    assert giver.given == 1


@pytest.mark.parametrize("ahead", [-7200.0, 0.0, 7200.0])
def test_a_token_without_the_time_it_was_given_is_renewed_when_it_is_over(ahead: float) -> None:
    auth, giver = TokenAuth("key", "secret", "/api/token"), Giver(ahead, life=-1)

    giver.pass_on(auth)
    giver.pass_on(auth)

    assert giver.given == 2
