"""Making the HTTP requests of tools: one client a process, and answers in the form that models read."""

from __future__ import annotations

import json
import os
import time
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from agentspan.errors import RetryTool, ToolFailed
from agentspan.remote.environment import keep_discreet
from agentspan.remote.http import Request

_TWICE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
"""Methods whose requests may be made twice."""

_BUSY = (429, 503)
"""The request was not taken."""

_PASSING = (408, 500, 502, 504)
"""Whether the request was done is not known; another try may help."""

LONGEST_WAIT = 3600
"""Seconds after which a request is made again at the latest, whatever its `Retry-After` says."""

_REDIRECTS = 5

_EXCERPT = 2000
"""Characters of an answer that a message about it has."""


def answer(request: Request) -> object:
    """What came back.

    Raises:
        ToolFailed: An error that another try does not help, or must not try.
        RetryTool: The request was not taken, or failed and may be made again.
        ConnectionError: Nobody answered, and the request may be made again.
    """
    try:
        response, body, cut = _sent(request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ConnectionError(f"{request.shown} cannot be reached: {_said(error, request)}") from None
    except httpx.TransportError as error:
        message = f"{request.shown} broke off: {_said(error, request)}"
        if request.method in _TWICE:
            raise ConnectionError(message) from None
        raise ToolFailed(f"{message}. Whether the request was done is not known.") from None
    except (httpx.InvalidURL, ValueError) as error:
        raise ToolFailed(f"{request.shown} cannot be asked: {_said(error, request)}") from None
    text = _decoded(body, response)
    status = f"{response.status_code} {_phrase(response.status_code)}".rstrip()
    if response.status_code >= 300:
        raise _failure(request, response, f"{request.shown} answered {status}", text[:_EXCERPT] or "nothing")
    return _value(request, response, text, cut) if body else status


def _sent(request: Request) -> tuple[httpx.Response, bytes, bool]:
    client = _client(os.getpid())
    made = client.build_request(
        request.method, request.url, headers=request.headers, content=request.content, timeout=request.timeout
    )
    deadline = time.monotonic() + request.timeout
    for _ in range(_REDIRECTS):
        response = client.send(made, stream=True)
        following = response.next_request
        if following is None or request.method not in ("GET", "HEAD") or not _same_host(made.url, following.url):
            break
        response.close()
        made = following
    try:
        return response, *_read(response, request, deadline)
    finally:
        response.close()


def _read(response: httpx.Response, request: Request, deadline: float) -> tuple[bytes, bool]:
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > request.max_bytes:
            return body[: request.max_bytes], True
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout(f"it was not done after {request.timeout:g} s")
    return body, False


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port) or (
        (one.scheme, other.scheme) == ("http", "https") and one.host == other.host and not one.port and not other.port
    )


def _failure(request: Request, response: httpx.Response, answered: str, text: str) -> Exception:
    message = str(request.credentials.masked(f"{answered}: {text}"))
    if response.status_code in _BUSY:
        return RetryTool(message, after=_wait(response.headers.get("retry-after", "")))
    if response.status_code in _PASSING and request.method in _TWICE:
        return RetryTool(message)
    if response.has_redirect_location:
        location = request.credentials.masked(response.headers["location"])
        return ToolFailed(f"{answered}: it sends to {location}, which is not followed")
    return ToolFailed(message)


def _wait(told: str) -> float | None:
    """Seconds until a request may be made again, of a `Retry-After`."""
    try:
        seconds = float(told) if told.isdigit() else parsedate_to_datetime(told).timestamp() - time.time()
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _value(request: Request, response: httpx.Response, text: str, cut: bool) -> object:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if cut:
        return f"{text}\n… cut after {request.max_bytes} bytes"
    if is_json or (not kind and text.lstrip()[:1] in ("{", "[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if "\ufffd" in text and not kind.startswith("text/"):
        raise ToolFailed(f"{request.shown} answered with {kind or 'something'}, which is no text")
    return text


def _decoded(body: bytes, response: httpx.Response) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace").replace("\0", "\ufffd")
    except LookupError:  # a charset that nobody knows
        return body.decode("utf-8", "replace").replace("\0", "\ufffd")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _said(error: Exception, request: Request) -> str:
    text = request.credentials.masked(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def _client(pid: int) -> httpx.Client:
    """The client of a process; a forked child gets its own."""
    # What one call is given as a cookie is not for the calls of other runs.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(headers={"User-Agent": "agentspan"}, limits=limits, cookies=no_cookies)


keep_discreet("httpx")
