"""The plan of a turn: what the model asked for, as the compiler's program leaves it and readers take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from agentspan.stored.names import tool_of_task
from agentspan.stored.output import Verdict
from agentspan.stored.said import Said

Mode = Literal["done", "one", "ask", "many", "none", "again", "failed", "invalid", "refused"]
"""The end, one call, one that needs a person, several, none that can be made; or an answer that did not arrive, or does
not fit its type: asked again, given up."""

_NOTHING = Said()

ENTERED = "entered"
"""Where a plan has what came of the run's prompt, where guardrails looked at it in its turn."""

CALLING: frozenset[Mode] = frozenset({"one", "ask", "many", "none"})
"""The modes of turns that have calls."""


@dataclass(frozen=True, kw_only=True)
class PlannedCall:
    """A call that the model asked for.

    Attributes:
        id: The model's id of it.
        name: What the model called.
        args: Its arguments.
        task: The task definition that makes it; None of a call that is not made.
        error: Why it is not made.
        result: What the model is told of it, where it is done with the plan: another agent takes over.
    """

    id: str
    name: str
    args: dict[str, Any]
    task: str | None
    error: str | None = None
    result: str | None = None

    @property
    def tool(self) -> str:
        """The tool; what the model called it where there is none."""
        return tool_of_task(self.task) if self.task else self.name


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a turn's model asked for.

    Attributes:
        mode: What comes next.
        calls: What it called.
        usage: Tokens of the run so far, this turn's included.
        again: Which time in a row it is asked again (`again`).
        problem: What was wrong with its answer (`again`): `failed`, `empty`, `damaged`.
        verdict: What came of its answer, where a worker has checked that as it called the model.
        said: What the model said.
        agent: Whose turn it is, of a run that agents hand over; None of any other.
        came_from: The agent that was at work before it, where it took over as the turn began.
        next: Who goes on after it; None as `agent`.
        entered: What came of the run's prompt, where guardrails looked at it beside the turn, or as an agent took over.
    """

    mode: Mode
    calls: tuple[PlannedCall, ...] = ()
    usage: dict[str, Any]
    again: int = 0
    problem: str | None = None
    verdict: Verdict | None = None
    said: Said = _NOTHING
    agent: str | None = None
    came_from: str | None = None
    next: str | None = None
    entered: Verdict | None = None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Plan:
        """Read it from the output of the plan's task."""
        calls = tuple(
            PlannedCall(**{name: call.get(name) for name in ("id", "name", "args", "task", "error", "result")})
            for call in result.get("calls") or ()
        )
        return cls(
            mode=cast(Mode, result["mode"]),
            calls=calls,
            usage=result.get("usage") or {},
            again=int(result.get("again") or 0),
            problem=result.get("problem"),
            verdict=Verdict.of(result["verdict"]) if "verdict" in result else None,
            said=Said.of(result),
            agent=result.get("agent"),
            came_from=result.get("came_from"),
            next=result.get("next"),
            entered=Verdict.of(result[ENTERED]) if ENTERED in result else None,
        )
