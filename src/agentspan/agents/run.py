"""Running agents, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.compat import plan
from agentspan.config import configure
from agentspan.runtime.shared import (
    deploy,
    resume,
    run,
    run_async,
    serve,
    start,
    start_async,
    stream,
    stream_async,
)

__all__ = [
    "configure",
    "deploy",
    "plan",
    "resume",
    "run",
    "run_async",
    "serve",
    "start",
    "start_async",
    "stream",
    "stream_async",
]
