"""That a person is asked, and what was decided, as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentspan.declare.approval import Request
from agentspan.engine.records import WorkflowRecord
from agentspan.reading.drafts import Draft, end_drafts
from agentspan.reading.requests import asking, decided_at, person_tasks, request_of
from agentspan.stored.budget import extension_told
from agentspan.stored.person import Decision

Json = dict[str, Any]


def asked_draft(part: WorkflowRecord, request: Request, who: Json, step: int) -> Draft:
    """That a person is asked.

    Args:
        part: The request's execution.
        request: What it asks.
        who: Which call it is about.
        step: The turn of the run.
    """
    details = {**who, "error": asking(request), "request_id": request.id, "args": request.args}
    at, once = person_tasks(part)[0].scheduled_time, ("waiting", request.id)
    return Draft(type="waiting", step=step, at=at, details=details, once=once)


def decision_drafts(part: WorkflowRecord, request: Request, who: Json, step: int) -> Iterator[Draft]:
    """What was decided, once it is; the arguments are those of `asked_draft`."""
    decision = request.decision
    if decision is None:
        return
    details = {
        **who,
        "request_id": request.id,
        "approved": decision.approved,
        "action": decision.verb(request.kind),
        "by": decision.by,
        "text": decision_told(decision) if request.kind == "budget" else _why(decision),
        "args": decision.given if decision.edited else None,
    }
    yield Draft(type="decision", step=step, at=decided_at(part), details=details, once=("decision", request.id))


def person_drafts(part: WorkflowRecord | None, step: int, who: Json | None = None) -> Iterator[Draft]:
    """The events of a request that is no call of a model: of a budget, of a guardrail, or of who is next in a team.

    Args:
        part: The request's execution; None where it has not begun, or is deleted.
        step: The turn of the run.
        who: Which call it is about; None of one that is about none.
    """
    request = None if part is None else request_of(part)
    if part is None or request is None:
        return
    who = who or {"call_id": request.tool, "tool_name": request.tool}
    yield asked_draft(part, request, who, step)
    attempts = person_tasks(part)
    for place, task in enumerate(attempts):
        if task.status == "CANCELED":
            yield from end_drafts(attempts, place, step)
    yield from decision_drafts(part, request, who, step)


def others_drafts(part: WorkflowRecord | None, step: int) -> Iterator[Draft]:
    """The events of a request of another member of the team, by which a look at the budget was put off.

    Args:
        part: The request's execution; None where it is deleted.
        step: The turn of the run.
    """
    return (draft for draft in person_drafts(part, step) if draft.once is not None)


def _why(decision: Decision) -> str | None:
    return "Nobody decided in time." if decision.overdue else decision.reason


def decision_told(decision: Decision) -> str:
    """What was decided about a budget, in a sentence."""
    what = "The run is ended."
    if decision.approved:
        more = decision.extended
        what = f"Extended by {extension_told(more)}." if more else "The model answers with what there is."
    why = _why(decision)
    return f"{what} {why}" if why else what
