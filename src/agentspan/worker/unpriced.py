"""Says of a budget for cost that nobody can keep, as the price of a model is not known, before a run finds out."""

from __future__ import annotations

import logging
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.budget import Share
from agentspan.declare.called import agents_around, all_around
from agentspan.worker.prices import is_known

log: logging.Logger = logging.getLogger("agentspan.worker")

_said: set[tuple[str, str]] = set()
"""Agents and models whose lack of a price has been told."""


def warn_of_unpriced(agent: Agent[Any]) -> None:
    """Log a warning for each model without a price that a budget for cost should count.

    Args:
        agent: What is registered; agents below it may have budgets, too.
    """
    for each in agents_around(agent):
        warn_of_unpriced(each)
    if agent.budget is None or agent.budget.cost is None or isinstance(agent.budget, Share):
        return
    for each in (agent, *all_around(agent)):
        if not each.has_turns:
            continue
        for model in (each.model, *each.fallback_models):
            if (agent.name, model) not in _said and not _has_price(each, model):
                _said.add((agent.name, model))
                log.warning(
                    "The agent %s has a budget for cost, and nobody knows what %s costs: its calls do not count. "
                    "ModelSettings(prices=…) can say it.",
                    agent.name,
                    model,
                )


def _has_price(agent: Agent[Any], model: str) -> bool:
    return model in agent.model_settings.prices or is_known(model)
