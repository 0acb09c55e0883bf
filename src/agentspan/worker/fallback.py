"""Which of an agent's models answers: the first one, or the next where one gives no answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from agentspan.errors import ToolFailed
from agentspan.stored.request import ModelRequest
from agentspan.stored.said import PassedOver
from agentspan.stored.usage import added
from agentspan.worker.call import ModelAway

A = TypeVar("A")


async def first_answer(
    request: ModelRequest, ask: Callable[[ModelRequest], Awaitable[A]]
) -> tuple[A, tuple[PassedOver, ...]]:
    """Ask the models of an agent in their order, at once, until one answers; which were passed over for it.

    Raises:
        ToolFailed: All of them refuse, for good.
        ModelAway: None of them answers, and another try may help.
    """
    passed: list[PassedOver] = []
    troubles: list[ToolFailed | ModelAway] = []
    for model in (request.model, *request.fallback_models):
        try:
            answer = await ask(replace(request, model=model))
        except (ToolFailed, ModelAway) as error:
            tokens = error.tokens if isinstance(error, ModelAway) else None
            passed.append(PassedOver(model=model, error=str(error), tokens=tokens))
            troubles.append(error)
        else:
            return answer, tuple(passed)
    raise troubles[0] if len(troubles) == 1 else _none_of(passed, troubles)


def _none_of(passed: list[PassedOver], troubles: list[ToolFailed | ModelAway]) -> ToolFailed | ModelAway:
    message = " ".join(f"{each.model}: {each.error}" for each in passed)
    away = [trouble for trouble in troubles if isinstance(trouble, ModelAway)]
    if not away:
        return ToolFailed(f"None of the agent's models answers. {message}")
    waits = [trouble.after for trouble in away if trouble.after is not None]
    none = ModelAway(f"None of the agent's models answers. {message}", after=min(waits, default=None))
    return none.having_used(added(each.tokens for each in passed if each.tokens) or None)
