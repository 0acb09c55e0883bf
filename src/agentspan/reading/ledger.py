"""The entries of the effect ledger: values for a reader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agentspan.reading.durations import moment
from agentspan.reading.timeline import Attempt
from agentspan.stored.intervention import Intervention

EffectState = Literal["running", "waiting", "done", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class CutOff:
    """A try that ended without a report of its tool, so that nobody knows how far it came.

    Attributes:
        at: When.
        worker: Which worker was at it.
        why: What ended it.
    """

    at: datetime
    worker: str | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """It as JSON-able values."""
        return {"at": self.at.isoformat(), "worker": self.worker, "why": self.why}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A call of a tool that may have had an effect: its function was begun.

    Attributes:
        key: The call's `idempotency_key`, by which the other side knows it.
        step: The turn of the run.
        call_id: The model's id of it.
        tool: The tool.
        args: Its arguments, as a person may have edited them.
        state: `done`: it returned, or a person has answered for it. `failed`: it gave an error, and is not tried
            again. `running`. `waiting`: it is to be tried again. `unknown`: its last try was cut off, and none follows.
        tries: How often its function was begun.
        attempts: The tries as `steps()` tells them, those that nobody took left out.
        cut_off: The tries that ended without a report, oldest first.
        interventions: What persons, and workers that stopped, did with it.
        error: What the model was told instead of a result.
        path: The agents, from the run's own to the one that called; empty for the run's own calls.
    """

    key: str
    step: int
    call_id: str
    tool: str
    args: dict[str, Any]
    state: EffectState
    tries: int
    attempts: tuple[Attempt, ...] = ()
    cut_off: tuple[CutOff, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    error: str | None = None
    path: tuple[str, ...] = ()

    @property
    def repeated(self) -> bool:
        """Whether its function was begun more than once."""
        return self.tries > 1

    @property
    def is_doubtful(self) -> bool:
        """Whether its effect may be there twice, or half: it was repeated, or cut off."""
        return self.repeated or bool(self.cut_off)

    def to_json(self) -> dict[str, Any]:
        """It as JSON-able values."""
        return {
            "key": self.key,
            "step": self.step,
            "call_id": self.call_id,
            "tool": self.tool,
            "args": self.args,
            "state": self.state,
            "tries": self.tries,
            "repeated": self.repeated,
            "cut_off": [each.to_json() for each in self.cut_off],
            "interventions": [
                {"verb": each.verb, "by": each.by, "at": moment(each.at).isoformat()} for each in self.interventions
            ],
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "error": self.error,
            **({"path": list(self.path)} if self.path else {}),
        }
