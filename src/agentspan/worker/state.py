"""The state of a run, as a worker that calls its model knows it."""

from __future__ import annotations

from typing import Any

from agentspan.errors import InputError, ToolFailed
from agentspan.schema.arguments import ArgumentError
from agentspan.worker.call import Call
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]


def begun(call: Call, transcript: Transcript) -> Json | None:
    """The state that a turn begins with; None where the agent has none.

    Raises:
        ArgumentError: The state is of another type here: another version of the agent is served.
        ToolFailed: The run's `context` has not what its state must begin with.
    """
    served = call.served.state
    if transcript.request.state != (None if served is None else served.fingerprint):
        raise ArgumentError("Its runs have a state of another type.")
    if served is None or transcript.state is not None:
        return transcript.state
    if transcript.lent is not None:
        return transcript.lent
    try:
        return served.begun(call.host.run_context(call.given.execution_id), f"agent {call.served.agent!r}")
    except InputError as error:
        raise ToolFailed(str(error)) from error
