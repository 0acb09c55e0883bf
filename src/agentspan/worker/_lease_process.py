"""The lease process: sends the heartbeats of one worker host.

A tool that holds the interpreter stops every thread of its process, so the heartbeats come from another one.
The host runs this file with its own Python; nothing but the standard library is imported, so it is up at once.

It reads lines of JSON:

    {"nodes": […], "ca_file": …, "parent": …}  first of all: {"url": …, "proxy": …} of each node's REST API, whom to
                                       trust, and the host's process id
    {"headers": {…}}                   what to send with every request from now on
    {"hold": id, "update": {…}, "at": s}   beat for this task: at `s` of the clock that all processes of a machine share
                                       (`time.monotonic`), then every 1.5 s
    {"beat": id}                       do so now
    {"release": id}                    beat no more
    {"confirm": id}                    say when no beat of it is on its way any more

and writes {"confirmed": id}, {"lost": id} when the server has ended the task, {"trouble": …}.

What was written before a beat was due is always read before that is sent, and nothing else has to be: a host that never
stops writing does not hold one up. Nor does a beat that is slow hold up the next one of its task. At the end of its
input the host is dead: it ends without another beat.
"""

from __future__ import annotations

import json
import os
import select
import signal
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

Json = dict[str, Any]
Node = dict[str, Any]

EVERY = 1.5
"""Seconds between two heartbeats."""

LEAST = 0.25
"""Seconds between two heartbeats that a tool asks for."""

AT_ONCE = 128
"""Heartbeats that may be on their way at once: a server that is slow to answer must not make others late."""

OF_ONE = 3
"""Those of one task."""

AHEAD = 1 << 20
"""Bytes that are read at once: more than a pipe holds, so all that was written before."""

TIMEOUT = 5.0
"""Seconds to wait for an answer: what comes later than the lease is of no use."""

FAIL_OVER = 1.5
"""Seconds to wait where there is another node to ask: it must get the heartbeat before the lease of 5 s ends."""

LOOK = 5.0
"""Seconds between looks at the host's process: children that it forked may keep the pipe open."""

PENDING = ("SCHEDULED", "IN_PROGRESS")


@dataclass
class Held:
    """A task whose lease is kept alive."""

    update: Json
    due: float
    sent: float = 0.0
    flying: int = 0
    looking: bool = False
    released: bool = False
    confirm: bool = False


class LeaseProcess:
    """What it holds, and the server it speaks to."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []  # the one in use first
        self._parent = os.getppid()
        self._headers: dict[str, str] = {}
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._opener = OpenerDirector()

    def obey(self, order: Json) -> None:
        """Do what one line asks for."""
        with self._lock:
            if "nodes" in order:
                self._nodes, self._parent = order["nodes"], order["parent"]
                self._opener = _opener(self._nodes, order["ca_file"])
            elif "headers" in order:
                self._headers = order["headers"]
            elif "hold" in order:
                self._held[order["hold"]] = Held(order["update"], due=order["at"])
            elif "beat" in order and order["beat"] in self._held:
                held = self._held[order["beat"]]
                held.due = min(held.due, held.sent + LEAST)
            elif "release" in order:
                self._release(order["release"])
            elif "confirm" in order:
                self._confirm(order["confirm"])

    def _release(self, task_id: str) -> None:
        held = self._held.get(task_id)
        if held is not None:
            held.released = True
            if not held.flying:
                del self._held[task_id]

    def _confirm(self, task_id: str) -> None:
        if task_id in self._held:
            self._held[task_id].confirm = True
        else:
            _say(confirmed=task_id)

    def pause(self) -> float:
        """Seconds until there is something to do."""
        with self._lock:
            due = min((held.due for held in self._held.values()), default=float("inf"))
        return min(LOOK, max(0.0, due - time.monotonic()))

    def beat(self, now: float) -> None:
        """Send what was due at a moment, of which all that was written before it has been read."""
        with self._lock:
            for task_id, held in self._held.items():
                if held.due > now:
                    continue
                held.due = now + EVERY
                if held.flying < OF_ONE and not held.released:
                    held.flying, held.sent = held.flying + 1, now
                    self._pool.submit(self._beat, task_id, held)

    @property
    def is_orphan(self) -> bool:
        """Whether the host is dead."""
        return os.getppid() != self._parent

    def _beat(self, task_id: str, held: Held) -> None:
        """Extend the lease, and look whether the server has ended the task meanwhile."""
        extended = ended = False
        try:
            self._request("/tasks", {**held.update, "status": "IN_PROGRESS", "extendLease": True})
            extended = True
        except (OSError, HTTPException, ValueError, LookupError) as error:
            ended = self._is_unknown(task_id, error)
        finally:
            with self._lock:
                held.flying -= 1
                look = extended and not (held.released or held.looking)
                held.looking = held.looking or look
                if held.released and not held.flying:
                    self._held.pop(task_id, None)
                    if held.confirm:
                        _say(confirmed=task_id)
        if ended or (look and self._has_ended(task_id, held)):
            self._give_up(task_id, held)

    def _has_ended(self, task_id: str, held: Held) -> bool:
        """Whether the server has ended the task, or does not know it."""
        try:
            task = json.loads(self._request(f"/tasks/{quote(task_id, safe='')}"))
            return bool(task["status"] not in PENDING)
        except (OSError, HTTPException, ValueError, LookupError) as error:
            return self._is_unknown(task_id, error)
        finally:
            with self._lock:
                held.looking = False

    def _is_unknown(self, task_id: str, error: Exception) -> bool:
        """Whether that is why a request failed; any other reason is told."""
        if isinstance(error, HTTPError):
            error.close()
            if error.code == 404:
                return True
        _say(trouble=f"{task_id}: {type(error).__name__}: {error}")
        return False

    def _give_up(self, task_id: str, held: Held) -> None:
        """Beat no more for a task that is over; the host is told of it, unless it has released it."""
        with self._lock:
            if held.released:
                return
            held.released = True
            _say(lost=task_id)
            if not held.flying:
                self._held.pop(task_id, None)

    def _request(self, path: str, body: Json | None = None) -> bytes:
        """Ask the node in use, and the others in turn when it does not answer: a heartbeat does no harm twice."""
        for _ in self._nodes[1:]:
            node = self._nodes[0]
            try:
                return self._ask(node, path, body, FAIL_OVER)
            except HTTPError:
                raise
            except (OSError, HTTPException):
                self._leave(node)
        return self._ask(self._nodes[0], path, body, TIMEOUT)

    def _ask(self, node: Node, path: str, body: Json | None, timeout: float) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/plain", **self._headers}
        request = Request(node["url"] + path, data, headers)
        _send_through(node["proxy"], request)
        with self._opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read())

    def _leave(self, node: Node) -> None:
        with self._lock:
            if self._nodes[0] is node:
                self._nodes = [*self._nodes[1:], node]


def _opener(nodes: list[Node], ca_file: str | None) -> OpenerDirector:
    # The host has decided about proxies: those that the system names are not asked for.
    direct = ProxyHandler({})
    places = [node["url"] for node in nodes] + [node["proxy"]["scheme"] for node in nodes if node["proxy"]]
    if not any(place.startswith("https") for place in places):
        return build_opener(direct)
    trust = ssl.create_default_context()
    if ca_file is not None:
        trust.load_verify_locations(ca_file)
    return build_opener(direct, HTTPSHandler(context=trust))


def _send_through(proxy: Json | None, request: Request) -> None:
    """Let a request pass a proxy; one to an https address is a tunnel, and only its opening shows the password."""
    if proxy is None:
        return
    request.set_proxy(proxy["address"], proxy["scheme"])
    if proxy["authorization"] is not None:
        request.add_header("Proxy-Authorization", proxy["authorization"])


def _say(**words: str) -> None:
    # One write, so that the lines of two threads cannot mix.
    os.write(1, json.dumps(words).encode() + b"\n")


def main() -> None:
    """Obey the host until its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host drains first; its calls need their leases
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leases = LeaseProcess()
    unread = b""
    while not leases.is_orphan:
        select.select([0], [], [], leases.pause())
        now = time.monotonic()
        if select.select([0], [], [], 0)[0]:
            chunk = os.read(0, AHEAD)
            if not chunk:
                return
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                leases.obey(json.loads(line))
        leases.beat(now)


if __name__ == "__main__":
    main()
    os._exit(0)  # without waiting for a beat that is on its way
