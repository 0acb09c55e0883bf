"""Commands of a model, under the path that scripts know."""

from __future__ import annotations

from agentspan.declare.commands import CliConfig

__all__ = ["CliConfig"]
