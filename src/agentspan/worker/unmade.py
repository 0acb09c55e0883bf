"""Calls of a model that are not made, and answers that say nothing."""

from __future__ import annotations

from typing import Any

from agentspan.stored.names import OUTPUT_TOOL
from agentspan.stored.request import ModelRequest, Part
from agentspan.worker.answer import Answer

Json = dict[str, Any]

_CUT = {
    "length": "Not called: your answer was cut off at its longest, and its arguments may be incomplete. Call again, "
    "with less at once.",
    "content_filter": "Not called: your answer was cut off by a content filter, and its arguments may lack something.",
}


def why_unmade(finish_reason: str, args: Json | str) -> str | None:
    """What the model is told of a call that cannot be made as it stands; None of one that can.

    Args:
        finish_reason: Why its answer ended.
        args: The call's arguments, or why there are none.
    """
    return _CUT.get(finish_reason) or (f"Not called: {args}. Call again." if isinstance(args, str) else None)


def why_ended(finish_reason: str, *, said: bool) -> str:
    """Why an answer ended: `empty` where it says nothing and names no other reason."""
    return finish_reason if said or finish_reason != "stop" else "empty"


def planned_call(request: ModelRequest, answer: Answer, call: tuple[str, str, Json | str]) -> Json:
    """What a turn's plan holds of a call. That of an answer, or of who takes over, is no task: others decide on it.

    Args:
        request: How the model was asked.
        answer: Its answer.
        call: The call: id, name and arguments, or why there are none.
    """
    call_id, name, args = call
    given = {} if isinstance(args, str) else args
    unmade = why_unmade(answer.finish_reason, args)
    task, error = None, None
    if name == OUTPUT_TOOL and request.output is not None:
        error = args if isinstance(args, str) else None
    elif name in (each.tool for each in request.transfers):
        error = unmade
    elif name not in request.tool_tasks:
        error = f"There is no tool named {name}. The tools are: {', '.join(spec['name'] for spec in request.tools)}."
    else:
        error = unmade or _unasked(request.parts.get(name), given)
        task = None if error else request.tool_tasks[name]
    planned: Json = {"id": call_id, "name": name, "args": given, "task": task}
    return planned if error is None else {**planned, "error": error}


def _unasked(part: Part | None, args: Json) -> str | None:
    asked = None if part is None or part.prompt is None else args.get(part.prompt)
    if part is None or part.prompt is None or (isinstance(asked, str) and asked.strip()):
        return None
    return "Not called: it needs a text that says what is asked of it."
