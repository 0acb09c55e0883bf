"""What is stored with a call when somebody else than its tool has ended a try of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verb = Literal["handed_back", "answered", "skipped", "retried"]
"""By a worker that stopped; or by a person: an answer in place of the tool's, none at all, another try."""

_KEY = "interventions"


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """The end of a try that its tool did not report.

    Attributes:
        verb: What was done.
        by: The worker, or the person, that did it.
        at: Milliseconds since 1970, by the server's clock.
        cut_off: The worker that was at the call then; None where nobody was.
    """

    verb: Verb
    by: str
    at: int
    cut_off: str | None = None


def interventions_of(output: Mapping[str, Any]) -> tuple[Intervention, ...]:
    """Read them from the output of the call's task, oldest first."""
    return tuple(Intervention(**noted) for noted in output.get(_KEY) or ())


def with_intervention(output: Mapping[str, Any], new: Intervention) -> dict[str, Any]:
    """The part of a task's output that holds them, with one more."""
    return {_KEY: [asdict(each) for each in (*interventions_of(output), new)]}


def kept(output: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a task's output that holds them, for the next report; nothing where there are none."""
    return {_KEY: output[_KEY]} if output.get(_KEY) else {}
