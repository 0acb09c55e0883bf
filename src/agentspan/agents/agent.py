"""Agents, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.declare.agent import Agent
from agentspan.declare.settings import ContextBudget, ModelSettings
from agentspan.declare.strategy import Strategy
from agentspan.declare.team import Team, scatter_gather

__all__ = ["Agent", "ContextBudget", "ModelSettings", "Strategy", "Team", "scatter_gather"]
