"""The runtime, under the path that scripts know."""

from __future__ import annotations

from agentspan.runtime.runtime import AgentRuntime

__all__ = ["AgentRuntime"]
