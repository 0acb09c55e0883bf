"""The runtime, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.compat import AgentConfig
from agentspan.runtime.runtime import AgentRuntime

__all__ = ["AgentConfig", "AgentRuntime"]
