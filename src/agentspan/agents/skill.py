"""Skills, under the path that scripts know: what has no counterpart here says what is."""

from agentspan.agents._names import __getattr__

__all__ = ["__getattr__"]
