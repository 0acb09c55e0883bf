"""Running guardrails: on prompts and answers in tasks of their own, on arguments and results around a function."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Guardrail, GuardrailContext, GuardrailResult, LLMGuardrail, OnFail
from agentspan.declare.tool import Tool, tool
from agentspan.errors import ToolFailed
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import ResultError, to_jsonable
from agentspan.stored.guard import Guarded
from agentspan.stored.output import Verdict
from agentspan.stored.usage import added

Json = dict[str, Any]

LONGEST = 2_000
"""Characters of what a guardrail says that are kept."""

OTHERS = "Its agent has other guardrails."

Asked = tuple[GuardrailResult, Json]
"""What a model said to a guardrail, and the tokens of that."""


def input() -> None:
    """Look at the prompt."""


def input_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for the guardrails of an agent's prompts among the tools that a worker serves."""
    return tool(input, retry=agent.model_retry)


@dataclass(frozen=True)
class Means:
    """How guardrails are run.

    Attributes:
        wait: Gives what an awaitable gives.
        ask: Asks the model of a guardrail about a text.
        context: What a function may know about the run.
    """

    wait: Callable[[Awaitable[Any]], Any]
    ask: Callable[[LLMGuardrail, str], Asked]
    context: Callable[[], GuardrailContext]


@dataclass
class Finding:
    """What came of several guardrails.

    Attributes:
        value: What they let through, as JSON.
        guards: What each of them said, in their order.
        sent_back: Those that want it done again.
        asks: Those that want a person asked.
        refused: The one that wants the run to end; those after it were not asked.
    """

    value: Any
    guards: list[Guarded] = field(default_factory=list)
    sent_back: list[tuple[Guardrail, Guarded]] = field(default_factory=list)
    asks: list[tuple[Guardrail, Guarded]] = field(default_factory=list)
    refused: Guarded | None = None


def found_by(
    guards: Sequence[Guardrail],
    value: Any,
    means: Means,
    *,
    typed: Callable[[Any], Any] = lambda value: value,
    plain: Callable[[Any], Any] = to_jsonable,
) -> Finding:
    """What guardrails say of a value, each of what those before it have made of it.

    Args:
        guards: The guardrails.
        value: What they look at, as JSON.
        means: How they are run.
        typed: Makes of the JSON what a function gets that takes no text.
        plain: Makes JSON of what one gives instead; raises ValueError where it is not to be taken.

    Raises:
        ToolFailed: One gives what is not to be taken, instead of what it refuses or at all.
        Exception: What a guardrail raised.
    """
    finding = Finding(value)
    for guard in guards:
        result, usage = _said(guard, finding.value, means, typed)
        asked = guard.model if isinstance(guard, LLMGuardrail) else None
        told = Guarded(
            name=guard.name, position=guard.position.value, passed=result.passed, usage=usage or None, model=asked
        )
        if result.passed:
            finding.guards.append(told)
            continue
        told = replace(told, message=_message(guard, result), action=guard.action)
        if guard.on_fail == OnFail.FIX and result.fixed_output is not None:
            finding.value = _fixed(guard, finding.value, result.fixed_output, plain)
        elif guard.on_fail == OnFail.RAISE:
            finding.refused = told
        elif guard.on_fail == OnFail.HUMAN:
            finding.asks.append((guard, told))
        else:
            told = replace(told, action="retry")
            finding.sent_back.append((guard, told))
        finding.guards.append(told)
        if finding.refused is not None:
            break
    return finding


def _said(guard: Guardrail, value: Any, means: Means, typed: Callable[[Any], Any]) -> Asked:
    if isinstance(guard, LLMGuardrail):
        return means.ask(guard, _text(value))
    seen = _text(value) if guard.takes_text else typed(value)
    found = guard.func(seen, means.context()) if guard.takes_context else guard.func(seen)
    if inspect.isawaitable(found):
        found = means.wait(found)
    if isinstance(found, bool):
        return GuardrailResult(passed=found), {}
    if not isinstance(found, GuardrailResult):
        raise ToolFailed(f"The guardrail {guard.name} gave {type(found).__name__}, and no GuardrailResult.")
    return found, {}


def _message(guard: Guardrail, result: GuardrailResult) -> str:
    message = str(result.message).encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return message[:LONGEST] or f"refused by the guardrail {guard.name}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fixed(guard: Guardrail, value: Any, fixed: Any, plain: Callable[[Any], Any]) -> Any:
    try:
        if guard.takes_text and isinstance(fixed, str) and not isinstance(value, str):
            fixed = json.loads(fixed)
        return plain(fixed)
    except (ValueError, ResultError) as error:
        raise ToolFailed(f"What the guardrail {guard.name} gives instead cannot be taken: {error}") from error


def entered(guardrails: Sequence[Guardrail], given: Json, means: Means, lost: Sequence[Json] = ()) -> Json:
    """The verdict on a prompt, as it is stored.

    Args:
        guardrails: What looks at it.
        given: The input of the task.
        means: How they are run.
        lost: Tokens of tries that failed.

    Raises:
        ArgumentError: The run has other guardrails: another version of the agent is served.
        ToolFailed: A guardrail gives what is not to be taken.
        Exception: What a guardrail raised.
    """
    if list(given.get("guardrails") or ()) != [guard.name for guard in guardrails]:
        raise ArgumentError(OTHERS)
    prompt = given.get("prompt")
    if not isinstance(prompt, str):
        raise ToolFailed("The guardrails of the prompt were not given it.")
    return verdict_on(guardrails, prompt, means, lost).to_json()


def verdict_on(guardrails: Sequence[Guardrail], prompt: str, means: Means, lost: Sequence[Json] = ()) -> Verdict:
    """What guardrails say of a prompt.

    Args:
        guardrails: The guardrails.
        prompt: The prompt.
        means: How they are run.
        lost: Tokens of tries that failed.

    Raises:
        ToolFailed: One gives what is not to be taken.
        Exception: What one raised.
    """
    finding = found_by(guardrails, prompt, means, plain=_prompt)
    refused = finding.refused or next((told for _, told in finding.sent_back), None)
    guards = tuple(finding.guards)
    before: Json | None = added(lost) if any(isinstance(guard, LLMGuardrail) for guard in guardrails) else None
    if refused is not None:
        return Verdict(mode="refused", guards=guards, refused=refused).counting(before)
    asks = tuple(told for _, told in finding.asks)
    found = Verdict(mode="ask" if asks else "done", value=finding.value, guards=guards, asks=asks, final=True)
    return found.counting(before)


def _prompt(fixed: Any) -> str:
    if not isinstance(fixed, str) or not fixed.strip():
        raise ValueError("a prompt is a text, and not empty")
    return str(to_jsonable(fixed))


# ---- around a tool's function --------------------------------------------------------------------------


class GuardRefused(ToolFailed):
    """A guardrail of a tool refuses a call, or its result.

    Attributes:
        refused: The one by which the run ends; None where the model is told.
    """

    def __init__(self, message: str, refused: Guarded | None) -> None:
        super().__init__(message)
        self.refused = refused


def let_through(finding: Finding, what: str) -> Any:
    """The value that guardrails let through.

    Args:
        finding: What they said.
        what: What they looked at, in words for the model.

    Raises:
        GuardRefused: They do not.
    """
    if finding.refused is not None:
        raise GuardRefused(f"{what} refused: {finding.refused.message}", finding.refused)
    if finding.sent_back:
        raise GuardRefused(f"{what} refused: {'; '.join(told.message for _, told in finding.sent_back)}", None)
    return finding.value


def arguments(fixed: Any) -> Json:
    """What a guardrail gives instead of a call's arguments.

    Raises:
        ValueError: They are no arguments.
    """
    found = to_jsonable(fixed)
    if not isinstance(found, dict):
        raise ValueError("arguments are a dict")
    return found
