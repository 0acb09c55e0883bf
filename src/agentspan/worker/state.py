"""The state of a run, as a worker that calls its model knows it."""

from __future__ import annotations

from typing import Any

from agentspan.declare.guardrail import GuardrailContext
from agentspan.declare.state import StateType
from agentspan.errors import InputError, ToolFailed
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.output import AnswerError
from agentspan.schema.values import ResultError, shown
from agentspan.stored.plan import PlannedCall
from agentspan.worker.call import Call
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]

_NAMED = 4
"""Calls that a message names."""


def begun(call: Call, transcript: Transcript) -> Json | None:
    """The state that a turn begins with; None where the agent has none.

    Raises:
        ArgumentError: The state is of another type here: another version of the agent is served.
        ToolFailed: The run's `context` has not what its state must begin with; or what the calls of the turn before
            have made of it, each of which fits alone, does not fit together.
    """
    served = call.served.state
    if transcript.request.state != (None if served is None else served.fingerprint):
        raise ArgumentError("Its runs have a state of another type.")
    if served is not None and transcript.changes:
        _check(call, served, transcript)
    if served is None or transcript.state is not None:
        return transcript.state
    return transcript.lent if transcript.lent is not None else _first(call, served)


def _check(call: Call, served: StateType, transcript: Transcript) -> None:
    """Fail the run by what calls that ran beside each other have made of its state, where that does not fit."""
    state = transcript.state or {}
    unfit = [(by, made) for by, made in transcript.changes if made.unfit]
    if unfit:
        by, made = unfit[0]
        problem = f"{made.field}: no number is so large as {state.get(made.field)} and {shown(repr(made.value), 100)}"
        raise _not_together(call, problem, [by])
    try:
        served.checked(state)
    except (AnswerError, ResultError) as error:
        raise _not_together(call, str(error), [by for by, _ in transcript.changes]) from error


def _not_together(call: Call, problem: str, by: list[PlannedCall]) -> ToolFailed:
    names = list(dict.fromkeys(f"{each.tool} ({each.id})" for each in by))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ToolFailed(
        f"What calls of step {call.given.step - 1} changed beside each other does not fit the state of the agent "
        f"{call.whose.agent}: {shown(problem, 200)}. They are {', '.join(names[:_NAMED])}{more}."
    )


def _first(call: Call, type_: StateType) -> Json:
    try:
        return type_.begun(call.host.run_context(call.given.execution_id), f"agent {call.served.agent!r}")
    except InputError as error:
        raise ToolFailed(str(error)) from error


def guardrail_context(call: Call) -> GuardrailContext:
    """What a guardrail's function may know about the run of a call, or of a check."""
    given, type_ = call.given, call.whose.state
    state = None
    if type_ is not None:
        state = call.shared.value if call.shared is not None else type_.read(_first(call, type_))
    of_call = call.task.kind in ("tool", "approval")
    return GuardrailContext(
        agent=call.whose.agent,
        execution_id=given.execution_id,
        step=given.step,
        tool=call.task.input_data.get("tool", call.served.tool.name) if of_call else None,
        context=call.host.run_context(given.execution_id),
        state=state,
        dependencies=call.served.dependencies,
    )
