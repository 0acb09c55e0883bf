"""Asking a function for an agent's instructions: with the model's call, or in a task before the first turn."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.instructions import Function, RunContext, given_by
from agentspan.declare.state import seen
from agentspan.declare.tool import Tool, tool
from agentspan.errors import ToolFailed
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import ResultError, to_jsonable
from agentspan.stored.state import STATE
from agentspan.worker.call import Call
from agentspan.worker.state import begun
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]

Wait = Callable[[Awaitable[Any]], Any]
"""Gives what an awaitable gives."""


def instructions() -> None:
    """Give the instructions."""


def instructions_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for the function among the tools that a worker serves."""
    return tool(instructions, retry=agent.model_retry)


def before_the_first_turn(call: Call, wait: Wait) -> Json:
    """The result of a task that asks the function for a run whose model the server calls.

    Raises:
        ArgumentError: The agent that is served here has its instructions as a text.
        ToolFailed: The function gives no text.
        Exception: What the function raised.
    """
    given = call.task.input_data
    text = _asked(call, str(given["prompt"]), wait)
    after = given.get("after") or ""
    return {"mode": "done", "text": "\n\n".join(part for part in (text, after) if part)}


def with_the_call(call: Call, transcript: Transcript, wait: Wait) -> Json:
    """What is stored with a model's call of the state that its turn begins with, and of instructions that are new.

    Raises:
        ArgumentError: The agent that is served here has its instructions as a text.
        ToolFailed: The function gives no text.
        Exception: What the function raised.
    """
    each = transcript.request.instructions_each
    state = begun(call, transcript)
    stored = {} if state is None else {STATE: state}
    if each is None or (each == "run" and transcript.agent in transcript.instructions):
        return stored
    return {"instructions": _asked(call, str(transcript.opening[-1]["message"]), wait, state), **stored}


def asked_with(transcript: Transcript, found: Json) -> None:
    """Have the model asked with the instructions that were found, or were stored with a turn before."""
    known = found.get("instructions", transcript.instructions.get(transcript.agent, ""))
    if transcript.request.instructions_each is not None:
        transcript.request = replace(transcript.request, instructions=known)


def _asked(call: Call, prompt: str, wait: Wait, state: Json | None = None) -> str:
    function = call.whose.instructions
    if function is None:
        raise ArgumentError("Its instructions are given by a function, and the agent that is served here has a text.")
    found = given_by(function, _context(call, prompt, state), f"agent {call.whose.agent!r}")
    if inspect.isawaitable(found):
        found = wait(found)
    if not isinstance(found, str):
        raise ToolFailed(
            f"The function that gives the instructions of the agent {call.whose.agent} gave {type(found).__name__}, "
            "and no text."
        )
    try:
        return str(to_jsonable(found))
    except ResultError as error:
        raise ToolFailed(f"The instructions of the agent {call.whose.agent} cannot be stored: {error}") from error


def _context(call: Call, prompt: str, state: Json | None) -> RunContext:
    given, whose = call.given, call.whose
    return RunContext(
        agent=whose.agent,
        execution_id=given.execution_id,
        prompt=prompt,
        step=given.step,
        context=call.host.run_context(given.execution_id),
        state=seen(whose.state, state),
        dependencies=whose.dependencies,
    )


def function_of(agent: Agent[Any]) -> Function | None:
    """The function that gives an agent's instructions; None where they are a text."""
    return agent.instructions if callable(agent.instructions) else None
