"""What went wrong with a request, in our words: the server is away, refuses, or is no Conductor."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from conductor.client.http.rest import ApiException

from agentspan.config import Settings
from agentspan.engine.nodes import UNSENT
from agentspan.errors import Conflict, NotFound, ServerError, ServerRejected, ServerUnreachable, Unauthorized

AWAY = (502, 503, 504)  # what a proxy says while the server behind it restarts
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)


def unreachable(url: str, cause: object) -> ServerUnreachable:
    """Nobody answers at the address."""
    hint = "Start one on this machine with `agentspan server start`, or set AGENTSPAN_SERVER_URL."
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        hint = "Set AGENTSPAN_CA_FILE to the PEM file of the authority that signed its certificate."
    return ServerUnreachable(f"No Conductor server answers at {url} ({cause}).", hint=hint)


def no_conductor(url: str, why: str) -> ServerUnreachable:
    """Something else than Conductor answers there."""
    return ServerUnreachable(
        f"What answers at {url} is not a Conductor server: it {why}.",
        hint="Check server_url, and whether a proxy in front of the server wants something first, such as a login.",
    )


@contextmanager
def understood(url: str, what: str) -> Iterator[None]:
    """While an answer is read.

    Args:
        url: The server.
        what: What was asked for.

    Raises:
        ServerUnreachable: It is not what Conductor would answer: something in between has.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # pydantic's is a ValueError
        raise no_conductor(url, f"answered the question for {what} with something else") from error


def away(url: str, status: int, doing: str) -> ServerUnreachable:
    """A proxy answers in the place of a server that is away."""
    doubt = "" if doing.startswith("GET ") else "; it may have been carried out"
    return ServerUnreachable(
        f"No Conductor server answers at {url}: what is in front of it answered {status} to {doing}{doubt}.",
        hint="Check that the server runs, and that the proxy or balancer at this address passes on to its port.",
        status=status,
    )


def refused(settings: Settings, status: int, doing: str, words: str) -> Unauthorized:
    """The server asks for a key, or the key may not do this."""
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


def nobody_listens(error: ServerUnreachable) -> bool:
    """Whether the connection was refused, so that nothing was sent."""
    cause = error.__cause__
    return cause is not None and isinstance(cause.__context__, httpx.ConnectError)


def _answer_lost(url: str, doing: str, cause: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"The answer of the server at {url} to {doing} was lost ({cause}); it may have been carried out.",
        hint="Look before you repeat it; a start with an idempotency_key can be repeated safely.",
    )


_BY_STATUS: dict[int, type[ServerError]] = {404: NotFound, 409: Conflict}

AWAY = (502, 503, 504)  # what a proxy says while the server behind it restarts


def translated(error: ApiException, settings: Settings, doing: str) -> ServerError:
    """The error that a failed request is."""
    status, url = error.status or 0, settings.address
    if status == 0:
        cause = str(error.reason).strip().splitlines()[-1] if error.reason else "no answer"
        return _answer_lost(url, doing, cause) if _may_be_done(error, doing) else unreachable(url, cause)
    if status in AWAY:
        return away(url, status, doing)
    if status in (401, 403):
        return refused(settings, status, doing, _server_message(error))
    if status == 404 and page(str(error.body)) is not None:  # Conductor's own 404 is JSON
        return no_conductor(url, f"answered {status} to {doing}: {_server_message(error)}")
    message = f"The server at {url} answered {status} to {doing}: {_server_message(error)}"
    sent = error.headers.get("location") if 300 <= status < 400 else None
    hint = f"It sends to {sent}: set that address." if sent else None
    return _BY_STATUS.get(status, ServerRejected)(message, hint=hint, status=status)


def page(body: str) -> str | None:
    """What to call a web page that came instead of JSON; None for anything else."""
    if not body.lstrip().startswith("<"):
        return None
    title = _TITLE.search(body)
    words = html.unescape(" ".join(title[1].split())) if title else ""
    return f"a page called {words[:100]!r}" if words else "a page without a title"


def _server_message(error: ApiException) -> str:
    body = error.body or error.reason or ""
    title = page(str(body))
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
