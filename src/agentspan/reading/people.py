"""That a run waits for a person, as a reason."""

from __future__ import annotations

import json

from agentspan.declare.approval import Request
from agentspan.reading.durations import ago, due_in
from agentspan.reading.reasons import Reason
from agentspan.reading.requests import asking
from agentspan.schema.values import shown

_VERBS = {
    "approval": ("approve", "reject"),
    "question": ("answer", "reject"),
    "budget": ("extend", "finish", "reject"),
    "guardrail": ("approve", "reject"),
}


def person_reason(request: Request, now: float) -> Reason:
    """That it waits for a person's decision, how long, and until when.

    Args:
        request: What the person is asked.
        now: Seconds since 1970, by the server's clock.
    """
    since = int(request.asked.timestamp() * 1000) if request.asked else int(now * 1000)
    about = f" with {shown(json.dumps(request.args, ensure_ascii=False), 200)}"
    if request.kind == "budget":
        about = ": a person decides how it goes on"
    text = f"{asking(request)[:-1]}{about}, since {ago(now, since)}."
    if request.due is not None:
        text += f" By its deadline, {due_in(now, int(request.due.timestamp() * 1000))}, the default is taken."
    return Reason(
        kind="person",
        text=text,
        since=request.asked,
        tool=request.tool,
        next=deciding(request),
        request=request,
    )


def deciding(request: Request) -> tuple[str, ...]:
    """The commands that decide a request."""
    return tuple(f"agentspan request {verb} {request.id}{_needed(verb, request)}" for verb in _VERBS[request.kind])


def _needed(verb: str, request: Request) -> str:
    """What else the command needs that decides so."""
    if verb == "answer":
        return " ANSWER"
    over = request.args.get("over") or () if verb == "extend" else ()
    return "".join(f" --{limit.replace('_', '-')} MORE" for limit in over)
