"""What agentspan raises, under the path that scripts know; `agentspan.errors` has the whole tree."""

from __future__ import annotations

from agentspan.agents._names import __getattr__
from agentspan.errors import AgentspanError, ConfigError, DefinitionError, InputError, NotFound, ServerError

__all__ = ["AgentspanError", "ConfigError", "DefinitionError", "InputError", "NotFound", "ServerError", "__getattr__"]
