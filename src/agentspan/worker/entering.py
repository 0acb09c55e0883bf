"""The guardrails of the prompt that look in a turn of the model: as an agent takes over, or beside the call."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from agentspan import forks
from agentspan.declare.guardrail import Guardrail, GuardrailContext
from agentspan.declare.state import seen
from agentspan.schema.arguments import ArgumentError
from agentspan.stored.guard import REFUSED
from agentspan.stored.output import Verdict
from agentspan.stored.plan import ENTERED
from agentspan.stored.request import ModelInput
from agentspan.stored.usage import added
from agentspan.worker.call import Call, ModelAway
from agentspan.worker.guards import OTHERS, Means, verdict_on
from agentspan.worker.state import begun
from agentspan.worker.tokens import Telling
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]


def to_ask(call: Call, transcript: Transcript) -> tuple[Guardrail, ...]:
    """The guardrails of whoever is at work now that have not looked at the prompt in a turn yet.

    Raises:
        ArgumentError: The run has others: another version of the agent is served.
    """
    crew = call.served.crew
    guards = call.served.guards if crew is None else crew.guards[transcript.agent]
    if transcript.request.guardrails != tuple(guard.name for guard in guards):
        raise ArgumentError(OTHERS)
    return () if transcript.agent in transcript.prompts else guards


def entered(call: Call, guards: Sequence[Guardrail], transcript: Transcript, means: Means) -> Verdict | None:
    """What those say that the turn waits for; None where there are none.

    The agent is asked with the prompt as they leave it, or have left it.

    Raises:
        ToolFailed: One gives what is not to be taken.
        Exception: What one raised.
    """
    blocking = [guard for guard in guards if guard.blocking]
    transcript.prompt = transcript.prompts.get(transcript.agent)
    if not blocking:
        return None
    found = verdict_on(blocking, _prompt(transcript), _knowing(call, transcript, means))
    transcript.prompt = found.value
    return found


def _prompt(transcript: Transcript) -> str:
    return str(transcript.opening[-1]["message"])


def _knowing(call: Call, transcript: Transcript, means: Means) -> Means:
    def context() -> GuardrailContext:
        return replace(means.context(), state=seen(call.whose.state, begun(call, transcript)))

    return replace(means, context=context)


def counted(given: ModelInput, verdict: Verdict) -> Json:
    """The tokens of the run with what they have used."""
    return added((given.usage, *_used_by(verdict)))


def let_in(verdict: Verdict) -> Json:
    """What a turn's plan keeps of it."""
    return {ENTERED: verdict.to_json()}


def turned_away(call: Call, given: ModelInput, beside: Json, verdict: Verdict, *tokens: Json) -> Json:
    """The plan of a turn by which the run ends, as a guardrail refuses the prompt.

    Args:
        call: The call of the turn's model.
        given: Which turn it is.
        beside: What else its plan keeps.
        verdict: What the guardrails said.
        *tokens: What the model has used that was asked meanwhile; nothing else is kept of what it said.
    """
    return {
        "mode": "refused",
        "step": given.steps + given.turn,
        "text": "",
        "finish_reason": REFUSED,
        "calls": [],
        "usage": added((given.usage, *call.lost_tokens, *tokens, *_used_by(verdict))),
        "tokens": added(tokens),
        "message": {},
        "verdict": verdict.to_json(),
        **beside,
    }


def _used_by(verdict: Verdict) -> list[Json]:
    return [guard.usage for guard in verdict.guards if guard.usage]


# ---- beside the model's call ---------------------------------------------------------------------------


class Looking:
    """Guardrails that look at the prompt while the model is asked, in a thread of their own.

    Args:
        look: Asks them.
    """

    def __init__(self, look: Callable[[], Verdict]) -> None:
        self._said: Future[Verdict | BaseException] = Future()
        self._said.set_running_or_notify_cancel()  # whoever waits may leave; the thread goes on
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._look, look), name="agentspan-beside", daemon=True).start()

    def _look(self, look: Callable[[], Verdict]) -> None:
        said: Verdict | BaseException
        pid = os.getpid()
        try:
            said = look()
        except BaseException as error:  # noqa: BLE001 - of code of the user's; it is raised where it is waited for
            said = error
        if os.getpid() != pid:  # a guardrail has forked, and this is the child
            forks.end_child(said if isinstance(said, BaseException) else None)
        self._said.set_result(said)

    async def verdict(self) -> Verdict:
        """What they say.

        Raises:
            ToolFailed: One gives what is not to be taken.
            Exception: What one raised.
        """
        said = await asyncio.wrap_future(self._said)
        if isinstance(said, BaseException):
            raise said
        return said


def looking(call: Call, guards: Sequence[Guardrail], transcript: Transcript, means: Means) -> Looking | None:
    """Those that look beside the call, from now on; None where there are none."""
    beside = [guard for guard in guards if not guard.blocking]
    if not beside:
        return None
    prompt, means = _prompt(transcript), _knowing(call, transcript, means)
    return Looking(lambda: verdict_on(beside, prompt, means))


async def once_passed(
    planned: Awaitable[Json], look: Looking, call: Call, given: ModelInput, beside: Json, telling: Telling | None
) -> Json:
    """The plan of a turn once the guardrails beside it have passed; its end where one refuses.

    Args:
        planned: The plan.
        look: The guardrails.
        call: The call of the turn's model.
        given: Which turn it is.
        beside: What else the plan keeps, also where one refuses.
        telling: What tells of the text as it comes; it is held back until then.
    """
    if telling is not None:
        telling.held = True
    model = asyncio.ensure_future(planned)
    model.add_done_callback(_is_known)
    try:
        verdict = await look.verdict()
    except BaseException:
        call.used += _tokens(model)
        model.cancel()
        raise
    if verdict.refused is None:
        if telling is not None and not model.done():
            telling.release()
        return _with(await model, verdict)
    model.cancel()
    await asyncio.wait({model})
    return turned_away(call, given, beside, verdict, *_tokens(model))


def _with(plan: Json, verdict: Verdict) -> Json:
    before = Verdict.of(plan[ENTERED]).guards if ENTERED in plan else ()
    whole = replace(verdict, guards=(*before, *verdict.guards))
    return {**plan, "usage": added((plan["usage"], *_used_by(verdict))), **let_in(whole)}


def _tokens(model: asyncio.Future[Json]) -> list[Json]:
    """What the model has used, so far as it was told."""
    if not model.done() or model.cancelled():
        return []
    error = model.exception()
    if error is None:
        return [model.result()["tokens"]]
    return [error.tokens] if isinstance(error, ModelAway) and error.tokens else []


def _is_known(model: asyncio.Future[Json]) -> None:
    """Whatever the model's call has raised counts for nothing where a guardrail refuses."""
    if not model.cancelled():
        model.exception()
