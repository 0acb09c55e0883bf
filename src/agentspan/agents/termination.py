"""Conditions that end runs, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.agents._names import __getattr__
from agentspan.declare.termination import (
    FunctionTermination,
    MaxMessageTermination,
    StopMessageTermination,
    Termination,
    TerminationContext,
    TextMentionTermination,
    TokenUsageTermination,
    ToolCallTermination,
)

__all__ = [
    "FunctionTermination",
    "MaxMessageTermination",
    "StopMessageTermination",
    "Termination",
    "TerminationContext",
    "TextMentionTermination",
    "TokenUsageTermination",
    "ToolCallTermination",
    "__getattr__",
]
