"""Calling an agent's hooks in the worker that serves it: before and after each call of its model, and of its tools."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from agentspan.worker.call import Call, text_of

log: logging.Logger = logging.getLogger("agentspan.worker")

Json = dict[str, Any]

Wait = Callable[[Awaitable[Any]], Any]
"""Gives what an awaitable gives."""


def before(call: Call, wait: Wait) -> None:
    """Tell the hooks that a tool is called.

    Raises:
        Exception: What one of them raised: the call is not made, and tried again by its policy.
    """
    if not call.served.is_model:
        _tell(call, "on_tool_start", {**_about(call), "args": call.given.args}, wait)


def before_model(call: Call, wait: Wait, *, begins: bool) -> None:
    """Tell the hooks of who is at work that its model is asked; `begins` where the turn is its first in a row.

    Raises:
        Exception: As `before`.
    """
    if begins:
        _tell(call, "on_agent_start", {}, wait)
    _tell(call, "on_model_start", {}, wait)


def after(call: Call, value: Any, wait: Wait) -> None:
    """Tell the hooks what came of a call, before that is reported; what they raise is logged, as the call was made."""
    if not call.served.is_model:
        _tell_safely(call, "on_tool_end", {**_about(call), "result": value, "error": None}, wait)
        return
    if call.task.kind == "summary":  # no turn of the agent's
        return
    answer = value["text"] if value["mode"] == "done" else None
    _tell_safely(call, "on_model_end", {"llm_result": answer}, wait)
    if answer is not None:
        _tell_safely(call, "on_agent_end", {"result": answer, "error": None}, wait)


def after_failure(call: Call, error: Exception, wait: Wait) -> None:
    """Tell the hooks that a try of a tool's call has raised."""
    if not call.served.is_model:
        _tell_safely(call, "on_tool_end", {**_about(call), "result": None, "error": text_of(error)}, wait)


def _about(call: Call) -> Json:
    return {"tool_name": call.served.tool.name, "call_id": call.given.call_id}


def _tell(call: Call, name: str, values: Json, wait: Wait) -> None:
    given = call.given
    common = {"agent_name": call.whose.agent, "execution_id": given.execution_id, "step": given.step}
    for handler in call.whose.hooks:
        said = getattr(handler, name)(**common, **values)
        if inspect.isawaitable(said):
            said = wait(said)
        if said:
            log.warning("%s: what %s of a hook returns changes nothing.", call, name)


def _tell_safely(call: Call, name: str, values: Json, wait: Wait) -> None:
    try:
        _tell(call, name, values, wait)
    except Exception:  # of code of the user's, beside a call that was made
        log.warning("%s: %s of a hook raised", call, name, exc_info=True)
