"""Handoffs, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.agents._names import __getattr__
from agentspan.declare.handoff import Handoff, HandoffContext, OnTextMention, OnToolResult, handoff

__all__ = ["Handoff", "HandoffContext", "OnTextMention", "OnToolResult", "__getattr__", "handoff"]
