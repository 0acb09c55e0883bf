"""Code of a model, under the path that scripts know."""

from __future__ import annotations

from agentspan.declare.commands import CodeExecutionConfig

__all__ = ["CodeExecutionConfig"]
