"""The guardrails of an agent that takes a run over: they look at the prompt before its first turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentspan.declare.state import seen
from agentspan.stored.guard import REFUSED
from agentspan.stored.output import Verdict
from agentspan.stored.plan import ENTERED
from agentspan.stored.request import ModelInput
from agentspan.stored.usage import added
from agentspan.worker.call import Call
from agentspan.worker.guards import Means, verdict_on
from agentspan.worker.handoffs import Crew
from agentspan.worker.state import begun
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]


def entered(call: Call, crew: Crew, transcript: Transcript, means: Means) -> Verdict | None:
    """What they say, as whoever is at work now takes over; None where they have looked before, or there are none.

    The agent is asked with the prompt as they leave it, or have left it.

    Raises:
        ToolFailed: One gives what is not to be taken.
        Exception: What one raised.
    """
    guards, name = crew.guards[transcript.agent], transcript.agent
    found = None
    if guards and name not in transcript.prompts:
        state = begun(call, transcript)
        context = replace(means.context(), state=seen(call.whose.state, state))
        found = verdict_on(guards, transcript.beginning[-1]["message"], replace(means, context=lambda: context))
    transcript.prompt = transcript.prompts.get(name) if found is None else found.value
    return found


def counted(given: ModelInput, verdict: Verdict) -> Json:
    """The tokens of the run with what they have used."""
    return added((given.usage, *(guard.usage for guard in verdict.guards if guard.usage)))


def let_in(verdict: Verdict) -> Json:
    """What a turn's plan keeps of it."""
    return {ENTERED: verdict.to_json()}


def turned_away(given: ModelInput, verdict: Verdict) -> Json:
    """The plan of a turn whose model is not asked: the run ends by the guardrail."""
    return {
        "mode": "refused",
        "step": given.steps + given.turn,
        "text": "",
        "finish_reason": REFUSED,
        "calls": [],
        "usage": given.usage,
        "tokens": {},
        "message": {},
        "verdict": verdict.to_json(),
    }
