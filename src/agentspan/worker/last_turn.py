"""The last turn of a run that is to end with an answer: the model is asked without tools, and told so."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentspan.declare.state import seen
from agentspan.declare.termination import TerminationContext
from agentspan.schema.arguments import ArgumentError
from agentspan.stored.names import OUTPUT_TOOL
from agentspan.stored.request import ModelInput, ModelRequest
from agentspan.stored.usage import Usage
from agentspan.worker.call import Call
from agentspan.worker.transcript import Exchange, Transcript

Json = dict[str, Any]

_TOLD: dict[str, str] = {
    "max_turns": "You have used all your turns but this one.",
    "stopped": "You are asked to come to an end.",
    "budget": "The budget of this run is used up.",
}
_ANSWER = "No more tools can be called. Answer now, with what you have found, and say what is missing."

_PLAIN = ("stop", "tool_call", "max_turns")
"""Reasons that say no more than that the model was done."""


@dataclass(frozen=True)
class LastTurn:
    """Why a turn is the last one."""

    reason: Literal["max_turns", "stopped", "budget"]

    @property
    def exchange(self) -> Exchange:
        """What the model is told, after all that was said before."""
        return Exchange({}, (), f"[{_TOLD[self.reason]} {_ANSWER}]")

    def asked(self, request: ModelRequest) -> ModelRequest:
        """The request of the turn."""
        return replace(request, settings={**request.settings, "tool_choice": "none"}) if request.tools else request

    def calls(self, calls: tuple[tuple[str, str, Json | str], ...]) -> tuple[tuple[str, str, Json | str], ...]:
        """What the model has called, without the tools that it may not call any more."""
        return tuple(call for call in calls if call[1] == OUTPUT_TOOL)

    async def ended(self, planned: Awaitable[Json]) -> Json:
        """The plan of the turn, with why it was the last one."""
        found = await planned
        ends = found["mode"] == "done" and found["finish_reason"] in _PLAIN
        return {**found, "finish_reason": self.reason} if ends else found


def last_turn(call: Call, transcript: Transcript, given: ModelInput) -> LastTurn | None:
    """Whether a turn is the last one, and has to be an answer.

    Args:
        call: The call of its model.
        transcript: The conversation before it.
        given: Which turn it is.

    Raises:
        ArgumentError: The run has another condition: another version of the agent is served.
    """
    request, step, termination = transcript.request, given.steps + given.turn, call.served.termination
    if request.termination != ("" if termination is None else repr(termination)):
        raise ArgumentError("Its runs come to an end by another condition.")
    if transcript.stopped:
        return LastTurn("stopped")
    if given.ending:
        return LastTurn("budget")
    if termination is not None and transcript.exchanges and not transcript.exchanges[-1].note:
        state = seen(call.whose.state, transcript.state)
        context = _context(transcript, step - 1, given.usage, state)
        return LastTurn("stopped") if termination.should_terminate(context) else _by_turns(request, step)
    return _by_turns(request, step)


def _by_turns(request: ModelRequest, step: int) -> LastTurn | None:
    return LastTurn("max_turns") if request.on_max_turns == "answer" and step >= request.max_turns else None


def _context(transcript: Transcript, step: int, usage: Json, state: Any) -> TerminationContext:
    newest = transcript.exchanges[-1]
    texts = [part.get("content") or "" for part in newest.said.get("parts", ()) if part.get("part_kind") == "text"]
    said = sum(1 + (len(exchange.told) or bool(exchange.note)) for exchange in transcript.exchanges)
    return TerminationContext(
        step=step,
        text="".join(texts),
        tool_calls=tuple(call.name for call, _ in newest.told),
        results=tuple(told.get("result", {"error": told.get("error")}) for _, told in newest.told),
        messages=len(transcript.beginning) + said,
        usage=Usage.of(usage),
        state=state,
    )
