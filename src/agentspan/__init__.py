"""Durable AI agents in Python on a stock Conductor OSS server."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from agentspan.agents import *  # noqa: F403 - the same names, for type checkers
    from agentspan.agents import __all__ as __all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("agentspan._distribution").version()
    # Late, so that `agentspan --help` does not wait for pydantic.
    public = import_module("agentspan.agents")
    if name != "__all__" and name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(public, name)
