"""What a person has decided, on a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentspan.cli._text import flat
from agentspan.stored.budget import extension_told

if TYPE_CHECKING:
    from agentspan.stored.person import Decision, RequestKind


def decision_line(decision: Decision, kind: RequestKind) -> str:
    """What was decided, by whom, and why.

    Args:
        decision: The decision.
        kind: What was asked for.
    """
    who = "the deadline" if decision.overdue else decision.by or "somebody"
    why = f": {decision.reason}" if decision.reason else ""
    return flat(f"{decision.verb(kind)}{_with(decision)} by {who}{why}")


def _with(decision: Decision) -> str:
    if decision.extended:
        return f" with {extension_told(decision.extended)} more"
    return "" if decision.given is None else f" with {json.dumps(decision.given, ensure_ascii=False)}"
