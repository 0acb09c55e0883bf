"""What a run stores of a call that needs a person: what is asked, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Json = dict[str, Any]

RequestKind = Literal["approval", "question", "budget", "guardrail"]

REQUEST = "request"
"""In the metadata of a request's definition: what is asked for."""

PERSON = "person"
"""Reference name of the task that waits for a person."""

DECIDED = "decided"
"""Reference name of the task that holds what was decided: that counts, whatever arrives later."""


@dataclass(frozen=True, kw_only=True)
class RequestSpec:
    """What a person is asked, as the definition of the request's workflow holds it.

    Attributes:
        kind: Whether a call may be made, a question, whether a run may use more than its budget, or whether something
            is to be taken that a guardrail refuses.
        tool: The tool; what a guardrail looked at, where that was no call.
        description: What it does.
        schema: The JSON Schema of its arguments.
        answer: The JSON Schema of the answer to a question; None for any text.
        wrapped: Whether that answer is the only field of what its schema describes.
        deadline: Seconds a person has; None for ever.
        default: What happens after that: `approve` or `reject`, the answer, or `finish` or `cancel`.
    """

    kind: RequestKind
    tool: str
    description: str
    schema: Json
    answer: Json | None = None
    wrapped: bool = False
    deadline: int | None = None
    default: Any = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> RequestSpec | None:
        """Read it from the metadata of a definition; None where that is no request's."""
        found = metadata.get(REQUEST)
        return None if not isinstance(found, dict) or "kind" not in found else cls(**found)

    def to_json(self) -> Json:
        """As a definition holds it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person decided, or the deadline.

    Attributes:
        approved: Whether the call is made, or what a guardrail refuses is taken; of a question whether there is an
            answer; of a budget whether the run goes on to an answer.
        by: Who decided; None where nobody said, or nobody did in time.
        reason: Why, in that person's words.
        edited: Whether the call is made with other arguments than the model gave, or something else is taken.
        overdue: Whether nobody decided in time, and the default stands.
        id: What tells it from other decisions on the same request.
        extended: By how much a budget is extended; None of what is no extension.
        given: What that person gave: the answer, or what is taken instead; None of what is no more than a yes or a no.
    """

    approved: bool
    by: str | None = None
    reason: str | None = None
    edited: bool = False
    overdue: bool = False
    id: str | None = None
    extended: Json | None = None
    given: Any = None

    @classmethod
    def of(cls, found: Mapping[str, Any], given: Any = None) -> Decision:
        """Read it from what is stored."""
        return cls(
            approved=bool(found.get("approved")),
            by=found.get("by"),
            reason=found.get("reason"),
            edited=bool(found.get("edited")),
            overdue=bool(found.get("overdue")),
            id=found.get("id"),
            extended=found.get("extended") or found.get("extend"),
            given=given,
        )

    def verb(self, kind: RequestKind) -> str:
        """What was done with the request, in a word.

        Args:
            kind: What was asked for.
        """
        if not self.approved:
            return "rejected"
        if kind == "budget":
            return "extended" if self.extended else "finished"
        return "answered" if kind == "question" else "approved"
