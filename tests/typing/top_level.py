"""The names of `agentspan.agents` from `agentspan` itself. Type checkers read it, and it is run."""

from __future__ import annotations

from typing import assert_type

import agentspan
from agentspan import Agent, tool


@tool
def forecast(city: str, days: int = 1) -> list[str]:
    """The weather of the next days."""
    return [f"rain in {city}"] * days


agent = Agent("weather", model="openai/gpt-4o", tools=[forecast])
assert_type(forecast("Oslo"), list[str])
assert_type(agent.name, str)
assert_type(agentspan.__version__, str)
