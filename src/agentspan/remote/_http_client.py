"""Making the HTTP requests of tools: one client a process, and answers in the form that models read."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from agentspan.clock import wait_told
from agentspan.errors import RetryTool, ToolFailed
from agentspan.remote.environment import keep_discreet
from agentspan.remote.http import Request
from agentspan.schema.values import why_not_carried

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
        came = _asker(os.getpid()).ask(request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ConnectionError(f"{request.shown} cannot be reached: {_said(error, request)}") from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
        raise ToolFailed(f"{request.shown} cannot be asked: {_said(error, request)}") from None
    except (httpx.RequestError, zlib.error) as error:
        message = f"{request.shown} broke off: {_said(error, request)}"
        if request.method in _TWICE:
            raise ConnectionError(message) from None
        raise ToolFailed(f"{message}. Whether the request was done is not known.") from None
    text = _decoded(came.body, came.response)
    status = f"{came.response.status_code} {_phrase(came.response.status_code)}".rstrip()
    if came.response.status_code >= 300:
        raise _failure(request, came.response, f"{request.shown} answered {status}", text)
    return _value(request, came.response, text, came.cut) if came.body else status


@dataclass(frozen=True)
class _Came:
    """What came back: an answer, and of its body as much as was wanted."""

    response: httpx.Response
    body: bytes
    cut: bool


class _Asker:
    """Asks from an event loop of its own, where all of a request, down to the last byte, has one time limit."""

    def __init__(self) -> None:
        # What one call is given as a cookie is not for the calls of other runs.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        limits = httpx.Limits(max_connections=None)
        headers = {"User-Agent": "agentspan", "Accept-Encoding": "gzip"}
        self._client = httpx.AsyncClient(headers=headers, limits=limits, cookies=no_cookies)
        self._loop = asyncio.new_event_loop()
        # It looks names up: a slow one holds up no other.
        self._loop.set_default_executor(ThreadPoolExecutor(64, "agentspan-http-names"))
        threading.Thread(target=self._loop.run_forever, name="agentspan-http", daemon=True).start()

    def ask(self, request: Request) -> _Came:
        return asyncio.run_coroutine_threadsafe(self._within_limit(request), self._loop).result()

    async def _within_limit(self, request: Request) -> _Came:
        # Who cannot be reached is to be known before the limit of the whole is met.
        timeout = httpx.Timeout(None, connect=0.9 * request.timeout)
        made = self._client.build_request(
            request.method, request.url, headers=request.headers, content=request.content, timeout=timeout
        )
        try:
            async with asyncio.timeout(request.timeout):
                return await self._answered(made, request.max_bytes)
        except TimeoutError:
            raise httpx.ReadTimeout(f"it was not done after {request.timeout:g} s") from None

    async def _answered(self, made: httpx.Request, most: int, redirects: int = _REDIRECTS) -> _Came:
        response = await self._client.send(made, stream=True)
        try:
            following = response.next_request
            if following is None or not redirects or not _is_followed(made, following):
                return _Came(response, *await _read(response, most))
        finally:
            await response.aclose()
        return await self._answered(following, most, redirects - 1)


async def _read(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in _unpacked(response, most):
        body += chunk
        if len(body) > most:
            return bytes(body[:most]), True
    return bytes(body), False


async def _unpacked(response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """The body as it was before it was packed, in pieces of `most` bytes or so: a few may stand for gigabytes."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed in ("identity", ""):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if packed not in ("gzip", "x-gzip"):
        raise httpx.DecodingError(f"the answer is packed as {packed}, which was not asked for")
    unpacking = _unpacker()
    async for chunk in response.aiter_raw():
        while chunk:
            if unpacking.eof:
                unpacking = _unpacker()
            yield unpacking.decompress(chunk, most + 1)
            chunk = unpacking.unconsumed_tail or unpacking.unused_data
    if not unpacking.eof:
        raise httpx.DecodingError("the answer ends in the middle of what is packed")


def _unpacker() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)


def _is_followed(made: httpx.Request, following: httpx.Request) -> bool:
    return made.method in ("GET", "HEAD") and _same_host(made.url, following.url)


def _same_host(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port) or (
        (one.scheme, other.scheme) == ("http", "https") and one.host == other.host and not one.port and not other.port
    )


def _failure(request: Request, response: httpx.Response, answered: str, text: str) -> Exception:
    message = f"{answered}: {_masked(text, request)[:_EXCERPT] or 'nothing'}"
    if response.status_code in _BUSY:
        return RetryTool(message, after=_wait(response.headers))
    if response.status_code in _PASSING and request.method in _TWICE:
        return RetryTool(message)
    if response.has_redirect_location:
        location = request.credentials.masked(response.headers["location"])
        return ToolFailed(f"{answered}: it sends to {location}, which is not followed")
    return ToolFailed(message)


def _masked(text: str, request: Request) -> str:
    """A text without secrets, also where it is JSON, which may spell them with escapes."""
    masked = str(request.credentials.masked(text))
    try:
        value = json.loads(masked)
        hidden = request.credentials.masked(value)
    except (ValueError, RecursionError):
        return masked
    return masked if hidden == value else json.dumps(hidden, ensure_ascii=False)


def _wait(headers: httpx.Headers) -> float | None:
    """Seconds until a request may be made again."""
    told = wait_told(headers.get("retry-after"), headers.get("date"))
    return None if told is None else min(told, LONGEST_WAIT)


def _value(request: Request, response: httpx.Response, text: str, cut: bool) -> object:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if cut:
        return f"{text}\n… cut after {request.max_bytes} bytes"
    if is_json or (not kind and text.lstrip()[:1] in ("{", "[")):
        return _read_json(text)
    if "\ufffd" in text and not kind.startswith("text/"):
        raise ToolFailed(f"{request.shown} answered with {kind or 'something'}, which is no text")
    return text


def _read_json(text: str) -> object:
    """The value of an answer; its text where it is no JSON, or holds what cannot be stored, such as NaN."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if why_not_carried(value) is None else text


def _decoded(body: bytes, response: httpx.Response) -> str:
    try:
        text = body.decode(response.charset_encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # a charset that nobody knows, or that cannot leave out what is wrong
        text = body.decode("utf-8", "replace")
    plain = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return plain.removeprefix("\ufeff")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _said(error: Exception, request: Request) -> str:
    text = request.credentials.masked(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def _asker(pid: int) -> _Asker:
    """What asks in a process; a forked child gets its own."""
    return _Asker()


keep_discreet("httpx")
