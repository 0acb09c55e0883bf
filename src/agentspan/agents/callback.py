"""Callbacks, under the path that scripts know."""

from __future__ import annotations

from agentspan.declare.callbacks import CallbackHandler

__all__ = ["CallbackHandler"]
