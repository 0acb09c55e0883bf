"""Tools, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.declare.tool import Tool, ToolContext, current_tool_context, tool
from agentspan.declare.toolset import toolset
from agentspan.remote.http import http_tool
from agentspan.remote.mcp import mcp_tool
from agentspan.remote.openapi import api_tool

__all__ = ["Tool", "ToolContext", "api_tool", "current_tool_context", "http_tool", "mcp_tool", "tool", "toolset"]
