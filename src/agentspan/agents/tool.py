"""Tools, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.agents._names import __getattr__
from agentspan.declare.agent_tool import agent_tool
from agentspan.declare.human_tool import human_tool
from agentspan.declare.tool import Tool, ToolContext, current_tool_context, tool
from agentspan.declare.toolset import toolset
from agentspan.remote.http import http_tool
from agentspan.remote.mcp import mcp_tool
from agentspan.remote.openapi import api_tool

__all__ = [
    "Tool",
    "ToolContext",
    "__getattr__",
    "agent_tool",
    "api_tool",
    "current_tool_context",
    "http_tool",
    "human_tool",
    "mcp_tool",
    "tool",
    "toolset",
]
