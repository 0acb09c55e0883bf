"""Durable AI agents in Python on a stock Conductor OSS server."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agentspan.agents import __all__ as __all__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("agentspan.agents"), name)
