"""Calls of a model that are not made, and answers that say nothing."""

from __future__ import annotations

from typing import Any

_CUT = {
    "length": "Not called: your answer was cut off at its longest, and its arguments may be incomplete. Call again, "
    "with less at once.",
    "content_filter": "Not called: your answer was cut off by a content filter, and its arguments may lack something.",
}


def why_unmade(finish_reason: str, args: dict[str, Any] | str) -> str | None:
    """What the model is told of a call that cannot be made as it stands; None of one that can.

    Args:
        finish_reason: Why its answer ended.
        args: The call's arguments, or why there are none.
    """
    return _CUT.get(finish_reason) or (f"Not called: {args}. Call again." if isinstance(args, str) else None)


def why_ended(finish_reason: str, *, said: bool) -> str:
    """Why an answer ended: `empty` where it says nothing and names no other reason."""
    return finish_reason if said or finish_reason != "stop" else "empty"
