"""What a model call of a worker costs, as it is stored with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from agentspan.reading.prices import cost_of
from agentspan.stored.request import ModelRequest
from agentspan.stored.usage import Usage

log: logging.Logger = logging.getLogger("agentspan.worker")

_said: set[str] = set()
"""Models whose lack of a price has been told."""


def with_cost(request: ModelRequest, model: str, tokens: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens of a call with what they cost: `cost`, or `unpriced` where nobody knows.

    Args:
        request: How the model was asked; its settings may have prices.
        model: What answered, `provider/name`.
        tokens: What it counted.
    """
    cost = cost_of(Usage.of(tokens), request.model, model, request.settings.get("prices") or {})
    if cost is None:
        if request.model not in _said:
            _said.add(request.model)
            log.info("Nobody knows what %s costs; ModelSettings(prices=…) can say it.", request.model)
        return {**tokens, "unpriced": 1}
    return {**tokens, "cost": cost}


def is_known(model: str) -> bool:
    """Whether the table has a price of a model.

    Args:
        model: `provider/name`.
    """
    return cost_of(Usage(1, 1), model, model, {}) is not None
