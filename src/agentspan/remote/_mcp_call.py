"""A call of a tool of an MCP server, and what HTTP says of it when it is not answered."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx2

from agentspan.clock import wait_told
from agentspan.declare.credentials import Credentials
from agentspan.declare.tool import ToolContext
from agentspan.errors import RetryTool, ToolFailed
from agentspan.remote.mcp import Listed, McpServer

SHOWN_EVERY = 1.0
"""Seconds between two lines of progress of a call."""

KEY = "agentspan/idempotency-key"
"""Where a call's `_meta` has the key that is the same for every attempt of it."""

_BUSY = (429, 503)
"""The call was not taken."""

_PASSING = (408, 502, 504)
"""Whatever stands before the server lost it."""


@dataclass
class Call:
    """A call of a tool."""

    server: McpServer
    credentials: Credentials
    tool: Listed
    arguments: dict[str, Any]
    context: ToolContext | None
    _shown: float = -SHOWN_EVERY

    @property
    def key(self) -> str:
        """What tells it from all others; empty outside of runs."""
        return "" if self.context is None else self.context.idempotency_key

    @property
    def meta(self) -> Any:
        """What the server is told beside the arguments."""
        return {KEY: self.key} if self.key else None

    async def show(self, progress: float, total: float | None, message: str | None) -> None:
        """Show those who watch the run how far the server says it has come."""
        if self.context is None or time.monotonic() - self._shown < SHOWN_EVERY:
            return
        self._shown = time.monotonic()
        far = f"{progress:g}" if total is None else f"{progress:g} / {total:g}"
        await asyncio.to_thread(self.context.progress, f"{far}  {message or ''}".rstrip())


@dataclass(frozen=True)
class Refusal:
    """An answer of HTTP that is none of the protocol.

    Attributes:
        status: Its status.
        wait: Seconds after which the call may be made again.
    """

    status: int
    wait: float | None

    @classmethod
    def of(cls, response: httpx2.Response) -> Refusal:
        """Read it."""
        return cls(response.status_code, wait_told(response.headers.get("retry-after"), response.headers.get("date")))

    def as_error(self, server: str) -> Exception:
        """What a call meets that was answered so."""
        answered = f"The MCP server {server} answered {self.status}"
        if self.status in _BUSY:
            return RetryTool(f"{answered}: it did not take the call.", after=self.wait)
        if self.status in _PASSING:
            return ConnectionError(f"{answered}. Whether the call was made is not known.")
        return ToolFailed(f"{answered}: it refused the call.")


def key_in(request: httpx2.Request) -> str:
    """The key of the call that a request makes; empty where it makes none."""
    try:
        return str(json.loads(request.content)["params"]["_meta"][KEY])
    except (ValueError, LookupError, TypeError, httpx2.StreamError):
        return ""
