"""A runtime's settings, under the path that scripts know."""

from __future__ import annotations

from agentspan.compat import AgentConfig

__all__ = ["AgentConfig"]
