"""The nodes of a Conductor cluster: requests go to one of them and, when it does not answer, to the next.

The nodes share one database, so each can do what another was asked to do. A request is repeated on another node only
where that does no harm: it was never sent, or it only reads. Whether to repeat what the silent node may have done is
for the caller to decide; later requests go to the next node in any case.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from agentspan.clock import ServerClock

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout)
"""Failures before anything was sent."""

ASK_AGAIN = 3.0
"""Seconds for which a node's answer about itself is taken to hold."""

STRANGER = 15.0
"""Seconds that a call may take while a node is away that never answered this process: the call may be another's."""

_READING = ("GET", "HEAD")
_AWAY = (502, 503, 504)  # what a proxy says while the node behind it is away
_QUICK = httpx.Timeout(2.0)
_STARTED = re.compile(r"^process_start_time_seconds(?:\{[^}]*\})? (\S+)", re.MULTILINE)


@dataclass
class _Node:
    """What is known about a node; times in milliseconds since 1970.

    Attributes:
        url: Its address.
        answered: Whether it ever answered this process.
        started: When its process started; 0 where it does not tell.
        away_since: When it was first found away; None while it is there.
        asked: When it was last asked, on the monotonic clock.
    """

    url: httpx.URL
    answered: bool = False
    started: int = 0
    away_since: int | None = None
    asked: float = float("-inf")

    def found_away(self, now: int) -> None:
        self.away_since = self.away_since or now

    def interrupted_at(self, now: int) -> int:
        if self.away_since is None:
            return self.started
        # One that never answered may have been away for days; what began meanwhile began elsewhere.
        return self.away_since if self.answered else min(self.away_since, now - int(STRANGER * 1000))


class Nodes(httpx.Client):
    """An HTTP client for a server of one or more nodes; safe to share between threads.

    Requests are addressed to the first node, and sent to the one that is in use.

    Args:
        urls: The nodes' addresses.
        **options: As for `httpx.Client`.
    """

    def __init__(self, urls: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = [_Node(httpx.URL(url)) for url in urls]
        self._used = self._nodes[0]
        self.clock: ServerClock = ServerClock()
        self._lock = threading.Lock()

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request to the node in use; to the others in turn when that does not answer and it does no harm.

        Raises:
            httpx.TransportError: Nobody answered, or the answer to what may have been done was lost.
        """
        for _ in self._nodes[1:]:
            try:
                answer = self._send_to(self._used, request, options)
            except httpx.TransportError as error:
                if not isinstance(error, UNSENT) and request.method not in _READING:
                    raise
            else:
                if answer.status_code not in _AWAY or request.method not in _READING:
                    return answer
                answer.close()
        return self._send_to(self._used, request, options)

    def interrupted_at(self) -> int:
        """When a node may last have lost what it had begun, in milliseconds since 1970.

        That is when its process started, or when it was found away. Each node is asked, also those not in use.
        """
        return max(self._asked(node).interrupted_at(self._now()) for node in self._nodes)

    def _send_to(self, node: _Node, request: httpx.Request, options: dict[str, Any]) -> httpx.Response:
        if len(self._nodes) > 1:
            request.url = self._moved(request.url, node)
            request.headers["Host"] = request.url.netloc.decode("ascii")
        asked = time.monotonic()
        try:
            answer = super().send(request, **options)
        except httpx.PoolTimeout:  # nothing of the node's doing
            raise
        except httpx.TransportError as error:
            if isinstance(error, UNSENT):
                node.found_away(self._now())
            self._leave(node)
            raise
        if answer.status_code in _AWAY:
            self._leave(node)
        else:
            node.answered = True
            self.clock.heard(answer.headers.get("Date"), asked, time.monotonic())
        return answer

    def _now(self) -> int:
        return int(self.clock.now() * 1000)

    def _moved(self, url: httpx.URL, node: _Node) -> httpx.URL:
        """The same place on another node, whichever node the address is of now."""
        now = next(
            (other for other in self._nodes if url.netloc == other.url.netloc and url.scheme == other.url.scheme), None
        )
        if now is None or now is node:
            return url
        return node.url.copy_with(raw_path=_base(node.url) + url.raw_path[len(_base(now.url)) :])

    def _leave(self, node: _Node) -> None:
        with self._lock:
            if self._used is node:
                self._used = self._nodes[(self._nodes.index(node) + 1) % len(self._nodes)]

    def _asked(self, node: _Node) -> _Node:
        if time.monotonic() - node.asked > ASK_AGAIN:
            node.asked = time.monotonic()
            self._ask(node)
        return node

    def _ask(self, node: _Node) -> None:
        address = node.url.copy_with(raw_path=_base(node.url) + b"/actuator/prometheus")
        try:
            answer = super().send(self.build_request("GET", address, timeout=_QUICK))
        except UNSENT:
            node.found_away(self._now())
            return
        except httpx.TransportError:  # slow, or about to end: that is not known yet
            return
        found = _STARTED.search(answer.text)
        node.answered, node.away_since = True, None
        node.started = int(float(found[1]) * 1000) if found else 0


def _base(url: httpx.URL) -> bytes:
    return url.raw_path.rstrip(b"/")
