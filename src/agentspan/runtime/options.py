"""What a run is started with, beside the agent and the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class StartOptions(TypedDict, total=False):
    """The keyword arguments of `AgentRuntime.start`, which tells what each means."""

    version: int | None
    messages: list[dict[str, str]] | None
    context: Mapping[str, Any] | None
    idempotency_key: str | None
    session_id: str | None
    serve: bool


class StreamOptions(StartOptions, total=False):
    """The keyword arguments of `AgentRuntime.stream`."""

    tokens: bool


class RunOptions(StartOptions, total=False):
    """The keyword arguments of `AgentRuntime.run`."""

    timeout: float | None
