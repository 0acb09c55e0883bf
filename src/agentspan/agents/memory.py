"""Memories, under the path that scripts know."""

from __future__ import annotations

from agentspan.declare.memory import ConversationMemory

__all__ = ["ConversationMemory"]
