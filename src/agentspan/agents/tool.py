"""Tools, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.declare.tool import Tool, ToolContext, current_tool_context, tool

__all__ = ["Tool", "ToolContext", "current_tool_context", "tool"]
