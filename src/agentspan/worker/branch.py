"""The branch of a turn by which a call is made that is a workflow of its own."""

from __future__ import annotations

from typing import Any

from agentspan.stored.request import Part
from agentspan.stored.state import STATE

Json = dict[str, Any]


def begun(part: Part, version: int, reference: str, of_call: Json) -> tuple[Json, Json]:
    """The branch of a call that is a workflow, and what that is given.

    Args:
        part: The workflow.
        version: The version of the agent that calls.
        reference: The call's name in its turn.
        of_call: What a task would be given.
    """
    if part.prompt is None:
        given = {**of_call, "call": reference}
    else:
        called_by = {"call": reference, "step": of_call["step"], "execution_id": of_call["execution_id"]}
        given = {"prompt": f"{of_call['args'][:-1]}.{part.prompt}}}", "called_by": called_by}
        given |= {STATE: of_call[STATE]} if part.state else {}
    named = {"name": part.workflow, "version": part.version or version}
    # Not optional: Conductor's retry does not go on from an optional sub-workflow to what has begun it (3.32.3, read).
    return {"name": part.workflow, "type": "SUB_WORKFLOW", "subWorkflowParam": named, "optional": False}, given
