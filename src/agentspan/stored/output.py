"""What is stored of an answer that has to fit a type, or that guardrails look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentspan.stored.guard import Guarded, guarded_of
from agentspan.stored.usage import added

INVALID = "invalid_output"
"""Why a run ended whose answers did not fit."""

TYPED = "output_type"
"""In the metadata of a definition: what the type of the agent's answers is called."""

ANSWERED_BY = "answered_by"
"""Which agent gave an answer, where those that may be at work have answers of several types."""

NOTE = "Your answer does not fit. Correct it and answer again, with the whole of it."
"""What the model is told of an answer that is sent back, before what is wrong with it."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OutputRequest:
    """What a model is told of the type of its answer.

    Attributes:
        name: What the type is called.
        description: What its class says of itself.
        schema: Its JSON Schema, of an object.
        retries: How often in a row the model is asked once more.
    """

    name: str
    description: str
    schema: Json
    retries: int


@dataclass(frozen=True, kw_only=True)
class CheckInput:
    """The input of the check of an answer.

    Attributes:
        answer: The answer, as text or as JSON.
        finish_reason: Why the model stopped.
        rejected: How many answers before this one, in a row, did not fit.
        last: Whether no other turn can follow.
        verdict: What came of it as the model was called; None where that was on the server.
        answer_type: The fingerprint of the type that the model was told; None where any text will do.
        guardrails: The names of the guardrails that the run's version has.
        usage: Tokens of the run so far; None where no guardrail may use some.
        out_of_turns: Whether the model asked for tools and had no turn left: there is no answer.
    """

    answer: Any
    finish_reason: str
    rejected: int
    last: bool
    verdict: Verdict | None
    answer_type: str | None
    guardrails: tuple[str, ...] = ()
    usage: Json | None = None
    out_of_turns: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> CheckInput:
        """Read it from the input of the task."""
        return cls(
            answer=given.get("answer"),
            finish_reason=str(given.get("finish_reason") or ""),
            rejected=int(given.get("rejected") or 0),
            last=bool(given.get("last")) or int(given.get("step") or 0) >= int(given.get("max_turns") or 1_000_000),
            verdict=Verdict.of(given["verdict"]) if given.get("verdict") else None,
            answer_type=given.get("answer_type"),
            guardrails=tuple(given.get("guardrails") or ()),
            usage=given.get("usage"),
            out_of_turns=given.get("finish_reason") == "max_turns"
            or not (given.get("verdict") or "answer" in given),  # a worker that calls the model has a verdict on any
        )

    def after(self, lost: Iterable[Json]) -> CheckInput:
        """The same, after tries that failed and have used tokens."""
        return self if self.usage is None else replace(self, usage=added((self.usage, *lost)))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of an answer.

    Attributes:
        mode: It fits, the model is asked again, the run fails as it does not fit, or as a guardrail refuses it, or a
            person is asked.
        value: The answer, where it fits, or a person is asked about it.
        said: The answer as it was given, where it does not.
        problems: What is wrong with it.
        again: How many answers in a row did not fit.
        guards: What the guardrails said, in their order.
        refused: The guardrail by which the run fails.
        usage: Tokens of the run, those that guardrails used for it included; None where none may use some.
        asks: The guardrails by which a person is asked.
        final: Whether the run fails where a person rejects it: the model cannot be asked again.
    """

    mode: Literal["done", "again", "invalid", "refused", "ask"]
    value: Any = None
    said: str = ""
    problems: tuple[str, ...] = ()
    again: int = 0
    guards: tuple[Guarded, ...] = ()
    refused: Guarded | None = None
    usage: Json | None = None
    asks: tuple[Guarded, ...] = ()
    final: bool = False

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Verdict:
        """Read it from what is stored."""
        return cls(
            mode=found["mode"],
            value=found.get("value"),
            said=found.get("said") or "",
            problems=tuple(found.get("problems") or ()),
            again=int(found.get("again") or 0),
            guards=guarded_of(found),
            refused=Guarded.of(found["refused"]) if found.get("refused") else None,
            usage=found.get("usage"),
            asks=tuple(Guarded.of(each) for each in found.get("asks") or ()),
            final=bool(found.get("final")),
        )

    def after(self, decided: Mapping[str, Any] | None) -> Verdict | None:
        """The verdict once a person has decided, where one is asked; None before that.

        Args:
            decided: What the request leaves; None until it is decided.
        """
        if self.mode != "ask":
            return self
        return None if decided is None else replace(Verdict.of(decided), guards=self.guards, usage=self.usage)

    def counting(self, before: Json | None) -> Verdict:
        """The verdict with what the run has used by then, where that was `before`, without this check."""
        if before is None:
            return self
        return replace(self, usage=added((before, *(guard.usage for guard in self.guards if guard.usage))))

    @property
    def note(self) -> str:
        """What the model is told of an answer that does not fit."""
        return "\n".join([NOTE, *(f"- {problem}" for problem in self.problems)])

    def to_json(self) -> Json:
        """The verdict as it is stored."""
        guards: Json = {"guards": [guard.to_json() for guard in self.guards]} if self.guards else {}
        guards |= {} if self.usage is None else {"usage": self.usage}
        if self.mode == "done":
            return {"mode": self.mode, "value": self.value, **guards}
        if self.refused is not None:
            return {"mode": self.mode, "refused": self.refused.to_json(), **guards}
        if self.mode == "ask":
            asked = {name: self.__dict__[name] for name in ("mode", "value", "said", "again", "final")}
            return {**asked, "asks": [guard.to_json() for guard in self.asks], **guards}
        besides = ("guards", "refused", "usage", "asks", "final")
        own = {name: value for name, value in self.__dict__.items() if name not in besides}
        return {**own, "problems": list(self.problems), "note": self.note, **guards}


def is_typed(metadata: Mapping[str, Any]) -> bool:
    """Whether the answers of a run have a type, from the metadata of its definition."""
    return TYPED in metadata
