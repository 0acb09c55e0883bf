"""Agents, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.declare.agent import Agent
from agentspan.declare.settings import ContextBudget, ModelSettings

__all__ = ["Agent", "ContextBudget", "ModelSettings"]
