"""Tools that have to be called before an answer."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from agentspan.stored.guard import REFUSED, Guarded
from agentspan.stored.output import Verdict
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]

NAME = "required_tools"
"""What stands for the guardrail that asks for them."""

MOST = 3
"""How often in a row an answer is sent back for want of a call."""


def missing(transcript: Transcript) -> tuple[str, ...]:
    """Required tools that have given no result yet."""
    done = {call.name for exchange in transcript.exchanges for call, told in exchange.told if "result" in told}
    return tuple(name for name in transcript.request.required_tools if name not in done)


async def required_plan(planned: Awaitable[Json], transcript: Transcript, lacking: tuple[str, ...]) -> Json:
    """The plan of a turn; an answer that comes too early is sent back, or ends the run."""
    plan = await planned
    if plan["mode"] != "done" or plan["calls"]:
        return plan
    rejected, last = transcript.rejected(), plan["step"] >= transcript.request.max_turns
    message = f"Call these tools before you answer: {', '.join(lacking)}."
    told = Guarded(name=NAME, position="output", passed=False, message=message, action="retry")
    if last or rejected >= MOST:
        verdict = Verdict(mode="refused", guards=(told,), refused=told)
    else:
        verdict = Verdict(mode="again", said=plan["text"], problems=(message,), again=rejected + 1, guards=(told,))
    return {
        **plan,
        "mode": verdict.mode,
        "finish_reason": REFUSED if verdict.mode == "refused" else plan["finish_reason"],
        "verdict": verdict.to_json(),
    }
