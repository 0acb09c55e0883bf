"""Before a person is asked: do the arguments fit, and is anybody to be asked at all. And telling somebody of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.approval import OnRequest, Policy, Request, named, takes_all
from agentspan.declare.guardrail import Guardrail, Position
from agentspan.declare.guardrails import asking
from agentspan.declare.tool import Tool, tool
from agentspan.engine.client import Conductor
from agentspan.errors import RetryTool
from agentspan.reading.requests import request_of
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import MAX_BYTES, why_not_carried
from agentspan.stored.guard import Guarded
from agentspan.stored.mark import text_mark

log: logging.Logger = logging.getLogger("agentspan.worker")

Json = dict[str, Any]

ASKED_SOON, LOOK = 2.0, 0.05
"""Seconds that a notice waits for its request to be asked, and between two looks."""


def approval() -> None:
    """Say whether a person is asked."""


def notice() -> None:
    """Tell somebody of a request."""


def approval_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for the checks before a person is asked among the tools that a worker serves."""
    return tool(approval, retry=agent.model_retry)


def notice_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for the notices of requests among the tools that a worker serves."""
    return tool(notice, retry=agent.model_retry)


Look = Callable[[Sequence[Guardrail], Json], list[Guarded]]
"""Asks guardrails about a call's arguments, and gives those that refuse."""

Wait = Callable[[Awaitable[Any]], Any]
"""Gives what an awaitable gives."""


def checked(tools: Mapping[str, Tool[..., Any]], given: Json, look: Look, wait: Wait) -> Json:
    """Whether a person is asked about a call: `ask`, `run` it without, or `refuse` it as its arguments do not fit.

    Args:
        tools: The agent's tools, by name.
        given: The input of the check's task.
        look: Asks the tool's guardrails that ask a person.
        wait: Gives what an awaitable gives.

    Raises:
        ArgumentError: The agent that is served here has no such tool.
    """
    found = tools.get(given["tool"])
    if found is None or not found.asks_first:
        raise ArgumentError(f"The agent that is served here has no tool {given['tool']} that needs an approval.")
    mark = text_mark(given["execution_id"])
    args = given.get("args") or {}
    try:
        values = found.arguments.validate(args, mark)
    except ArgumentError as error:
        return {"mode": "refuse", "error": str(error)}
    plain = _without(mark, args)
    problem = why_not_carried(plain, given.get("max_bytes") or MAX_BYTES)
    if problem is not None:
        return {"mode": "refuse", "error": f"Not called: what the arguments hold {problem}. Call again."}
    asks = look(asking(found.guards(Position.INPUT)), plain)
    approval = found.approval
    asked = approval is not None and (approval.when is None or _asks(approval.when, values, wait))
    noted = {"asks": [guard.to_json() for guard in asks]} if asks else {}
    return {"mode": "ask" if asked or asks else "run", "args": plain, **noted}


def _asks(policy: Policy, values: Mapping[str, Any], wait: Wait) -> bool:
    wanted = values if takes_all(policy) else {name: values[name] for name in named(policy) if name in values}
    try:
        found = policy(**wanted)
        return bool(wait(found) if inspect.isawaitable(found) else found)
    except Exception:  # whoever cannot decide lets a person decide
        log.warning("The approval's function raised, so a person is asked", exc_info=True)
        return True


def _without(mark: str, value: Any) -> Any:
    """The arguments as a person reads them."""
    if isinstance(value, str):
        return value.removeprefix(mark)
    if isinstance(value, dict):
        return {key: _without(mark, each) for key, each in value.items()}
    return [_without(mark, each) for each in value] if isinstance(value, list) else value


async def told(client: Conductor, notify: OnRequest, request_id: str) -> None:
    """Tell somebody of a request.

    Raises:
        Exception: What the function raised.
        RetryTool: The request is not asked yet.
    """
    request = await _asked(client, request_id)
    found = notify(request)
    if inspect.isawaitable(found):
        await found


async def _asked(client: Conductor, request_id: str) -> Request:
    deadline = time.monotonic() + ASKED_SOON
    while (found := request_of(client.workflow(request_id))) is None:
        if time.monotonic() > deadline:
            raise RetryTool("The request is not asked yet.", after=1)
        await asyncio.sleep(LOOK)
    return found
