"""The scripted model, and its book of who asked when."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Self

import httpx

from agentspan.testing import ModelRequest, Reply, ScriptedModel
from benchmarks.plan import Plan, Span, newest_spans

MODEL = "openai/scripted"

POLL = 0.01


@dataclass(frozen=True)
class Asked:
    """One request to the model.

    Attributes:
        step: The step it begins, from 1.
        at: When it came; seconds on the machine's monotonic clock.
        answered: When the answer left.
        size: Bytes of the request.
        spans: The calls of the step before.
        body: The request itself, where the plan says to keep it.
    """

    step: int
    at: float
    answered: float
    size: int
    spans: tuple[Span, ...]
    body: dict[str, Any] | None = None


class Unfinished(Exception):
    """A contestant did not get to the end of what it was to do."""


class Model:
    """The model of every contestant: it answers at once, by the plan in the prompt.

    It is not strict: what it would cost to judge a request would count as somebody's overhead.
    """

    def __init__(self) -> None:
        self._server = ScriptedModel(self._reply, keep=1, strict=False)
        self._book: dict[str, list[Asked]] = defaultdict(list)
        self._newest: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def urls(self) -> dict[str, str]:
        """Where it listens, by provider."""
        return self._server.model_urls

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def requests(self, run: str) -> list[Asked]:
        """The requests of a run so far, each step once: a repeated call of the model counts when it first came."""
        with self._lock:
            asked = list(self._book[run])
        first = {entry.step: entry for entry in reversed(asked)}
        return [first[step] for step in sorted(first)]

    def asked(self, plan: Plan) -> int:
        """How many requests a run has made."""
        with self._lock:
            return len(self._book[plan.run])

    def step(self, plan: Plan) -> int:
        """The step that a run is at; 0 before its first request."""
        return self._newest.get(plan.run, 0)

    def wait_for(self, plan: Plan, step: int, limit: float) -> list[Asked]:
        """Wait until a run asks for a step; its requests so far.

        Args:
            plan: The run's.
            step: The step; `plan.steps + 1` is the answer.
            limit: Seconds to wait.

        Raises:
            Unfinished: It did not within the limit.
        """
        deadline = time.monotonic() + limit
        while self.step(plan) < step:
            if time.monotonic() > deadline:
                done = max(0, self.step(plan) - 1)
                raise Unfinished(f"did not finish ({done} of {step - 1} steps in {limit:.0f} s)")
            time.sleep(POLL)
        return self.requests(plan.run)

    def own_seconds(self, size: int, times: int = 20) -> float:
        """How long it takes over a request of about `size` bytes: a part of every figure that is not overhead."""
        prompt = Plan(steps=1).prompt() + "." * size
        body = {"model": "scripted", "input": [{"role": "user", "content": prompt}]}
        with httpx.Client() as client:
            return median(_timed(client, f"{self.urls['openai']}/responses", body) for _ in range(times))

    def _reply(self, request: ModelRequest) -> Reply:
        at = time.monotonic()
        plan = Plan.in_request(request)
        spans = tuple(newest_spans(request))
        reply = plan.reply_together(request, self.asked(plan)) if plan.together else plan.reply(request)
        body = request.body if plan.keep else None
        step = max((span.step for span in spans), default=0) + 1
        size = request.tokens * 4  # its estimate of a token is four bytes
        entry = Asked(step, at, time.monotonic() + plan.model_seconds, size, spans, body)
        with self._lock:
            self._book[plan.run].append(entry)
            self._newest[plan.run] = max(step, self._newest.get(plan.run, 0))
        return reply


def _timed(client: httpx.Client, url: str, body: dict[str, Any]) -> float:
    content = json.dumps(body)
    begun = time.perf_counter()
    client.post(url, content=content).raise_for_status()
    return time.perf_counter() - begun
