"""Why a run or a model call failed, read from the engine's words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from agentspan.declare.providers import PROVIDERS, key_hint

_STATUS = re.compile(r"failed with status (\d{3}): (.*?)(?: — caused by: |'?$)", re.DOTALL)
_WRAPPED = re.compile(
    r"Task [0-9a-f-]{36} failed with status: \w+ and reason: '(?P<task>.*?)'?"
    r"|Sub workflow \S+ failure reason: (?P<segment>.*)"
    r"|(?:Task execution failed|Non-retryable error): (?P<model>.*)",
    re.DOTALL,
)
_IN_WORKER = re.compile(
    r"((?:None of the agent's models answers\. .*?)?The model's provider answered (\d{3}): .*?)'*$", re.DOTALL
)
_NO_PROVIDER = re.compile(r"no configuration found for: ([\w-]+)")
_FINAL = frozenset({400, 401, 403, 404, 405, 410, 413, 422})


@dataclass(frozen=True)
class ModelFailure:
    """A failed model call.

    Attributes:
        message: What happened, in one sentence and the provider's own words.
        final: Whether trying again is pointless until somebody changes something.
        hint: What to do.
    """

    message: str
    final: bool = False
    hint: str | None = None


def model_failure(reason: str) -> ModelFailure | None:
    """Read `reasonForIncompletion` of a model call, or of a run that ended by one; None for other reasons.

    The forms are those of Conductor 3.32.3: `… failed with status 401: {…}` and
    `no configuration found for: cohere`.
    """
    missing = _NO_PROVIDER.search(reason)
    if missing:
        provider = missing[1]
        names = ", ".join(PROVIDERS.get(provider, ()))
        message = f"The Conductor server cannot call {provider}: it lacks {names or 'its settings'}."
        return ModelFailure(message, final=True, hint=key_hint(provider))
    if "is null" in reason and ('"args"' in reason or '"content"' in reason):
        return ModelFailure("The model called a tool with null instead of arguments, which Conductor cannot read.")
    told = _IN_WORKER.search(reason)
    if told is not None:
        status = int(told[2])
        hint = "Check the provider's key in the environment of the worker, then retry the run."
        return ModelFailure(told[1], final=status in _FINAL, hint=hint if status in (401, 403) else None)
    answered = _STATUS.search(reason)
    if answered is None:
        return None
    status = int(answered[1])
    message = f"The model's provider answered {status}: {_provider_message(answered[2])}"
    return ModelFailure(message, final=status in _FINAL, hint=_hint(status))


def _provider_message(body: str) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return body.strip()[:1000]


def _hint(status: int) -> str | None:
    if status in (401, 403):
        return "Check the provider's key in the environment of the Conductor server, then retry the run."
    return None


def reason_text(reason: str) -> str:
    """Why a run or a model call failed, without the layers that Conductor wraps around it."""
    failure = model_failure(reason)
    if failure is not None:
        return failure.message
    while found := _WRAPPED.fullmatch(reason):
        reason = next(part for part in found.groups() if part is not None)
    return reason
