"""What a run may use before a person is asked whether it may use more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from agentspan.declare.policy import check_count, whole_seconds
from agentspan.errors import DefinitionError
from agentspan.stored.budget import BUDGET, LIMITS

_MANY = 2**53 - 1

Overdue = Literal["finish", "cancel"]
"""What happens with a run whose budget is used up when nobody has decided in time."""


class Extension(TypedDict, total=False):
    """By how much a budget is extended; its limits are those of `Budget`."""

    cost: float
    tokens: int
    input_tokens_per_request: int
    calls: int
    turns: int
    time: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may use. When one of the limits is reached, the run asks a person before it asks its model again.

        Agent("research", …, budget=Budget(cost=2.50, time=3600, deadline=86_400))

    The person extends the budget, has the model answer with what there is, or ends the run. What is used is looked at
    before each turn, so a limit is exceeded by the turn in flight at most.

    Attributes:
        cost: US dollars, agents that it calls included; calls of models without a price are not in it.
        tokens: Tokens that models were sent and answered, agents that it calls included.
        input_tokens_per_request: Tokens of the newest request to its model.
        calls: Calls of its tools.
        turns: Turns of its own. Unlike `max_turns`, which fails the run.
        time: Seconds since its first turn, without those that it waited for decisions about its budget.
        warn_at: The part of a limit, from 0 to 1, from which on a `budget` event tells that it is nearly used up.
        deadline: Seconds a person has; None waits for ever.
        default: What happens when nobody has decided by then: `finish` has the model answer without tools, `cancel`
            ends the run.
    """

    cost: float | None = None
    tokens: int | None = None
    input_tokens_per_request: int | None = None
    calls: int | None = None
    turns: int | None = None
    time: float | None = None
    warn_at: float = 0.8
    deadline: int | None = None
    default: Overdue = "finish"

    def __post_init__(self) -> None:
        for name in ("tokens", "input_tokens_per_request", "calls", "turns"):
            value = getattr(self, name)
            if value is not None:
                check_count(value, f"Budget: {name}", 1, _MANY)
        for name, of_what in (("cost", "US dollars"), ("time", "seconds")):
            value = getattr(self, name)
            if value is not None and not is_amount(value):
                raise DefinitionError(f"Budget: {name} is a number of {of_what} above 0, not {value!r}")
        if not self.limits:
            raise DefinitionError("Budget: it limits nothing", hint=f"Give it one of {', '.join(LIMITS)}.")
        if not is_amount(self.warn_at) or self.warn_at > 1:
            raise DefinitionError(f"Budget: warn_at is a part of a limit, above 0 and at most 1, not {self.warn_at!r}")
        if self.deadline is not None:
            object.__setattr__(self, "deadline", whole_seconds(self.deadline, "Budget: deadline", least=1))
        if self.default not in ("finish", "cancel"):
            raise DefinitionError(f"Budget: default is 'finish' or 'cancel', not {self.default!r}")

    @property
    def limits(self) -> dict[str, float]:
        """Its limits, those that are set."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Share(Budget):
    """A team's budget, as a member has it: its limits, and what of them is used, come with the call of the member."""

    @classmethod
    def of(cls, budget: Budget) -> Share:
        """What the members of a team with this budget have."""
        return cls(**vars(budget))


@dataclass(frozen=True, kw_only=True)
class Pooled(Share):
    """The same of a member that works beside others: what all of them use is added up before each of its turns."""


def is_amount(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MANY


def check_budget(budget: Any, tools: Iterable[str], what: str) -> None:
    """Refuse what is no budget, or does not go with an agent's tools.

    Args:
        budget: The agent's, or None.
        tools: The names of its tools.
        what: What messages call the agent.

    Raises:
        DefinitionError: It says why.
    """
    if budget is None:
        return
    if not isinstance(budget, Budget):
        raise DefinitionError(f"{what}: budget must be a Budget, not {budget!r}", hint="Such as Budget(cost=2.5).")
    if BUDGET in tools:
        raise DefinitionError(f"{what}: no tool can be named {BUDGET!r} of an agent with a budget")
