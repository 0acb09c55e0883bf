"""How a model is asked, and how much of the conversation it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from agentspan.declare.policy import check_count
from agentspan.declare.price import Price
from agentspan.errors import DefinitionError

_MAX_CONTEXT = 2_000_000  # characters; with their JSON around them they stay under Conductor's limits
_MANY = 2**31 - 1

_BOUNDS: dict[str, tuple[float, float]] = {
    "max_tokens": (1, _MANY),
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (1, _MANY),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "thinking_tokens": (1, _MANY),
    "timeout": (1, 86_400),
}
_WHOLE = {"max_tokens", "top_k", "thinking_tokens"}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How the model is asked. None leaves a setting to Conductor and the provider.

    These are the settings of Conductor's `LLM_CHAT_COMPLETE`; a provider ignores those it does
    not know.

    Attributes:
        max_tokens: Length of one answer; Conductor's own default is 8192.
        temperature: 0 to 2. Conductor 3.32 does not pass it to OpenAI models.
        top_p: 0 to 1.
        top_k: Where the provider has it.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        stop: Texts that end an answer.
        thinking_tokens: Budget for thinking (Anthropic, Gemini).
        reasoning_effort: Such as "low", "medium" or "high" (OpenAI, Anthropic).
        reasoning_summary: Such as "auto": makes the reasoning part of what is stored.
        web_search: Let the provider search the web by itself.
        code_interpreter: Let the provider run code by itself.
        base_url: Where the provider's API is; of a model that speaks OpenAI's (Ollama, vLLM, OpenRouter, a gateway), as
            `openai/NAME`. A worker calls the model then.
        prices: What models cost, by `provider/name`, where the table of prices knows none or others were agreed on.
        stream: Have the provider send each answer in pieces, so that who begins to listen in the middle of it sees its
            tokens, too; else it does where somebody listens already. A worker calls the model then.
        timeout: Seconds that an answer may take, to its end; 600 unless given. A model that is silent for that long
            counts as away: the next one is asked, or the same one again. A worker calls the model then.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    thinking_tokens: int | None = None
    reasoning_effort: str | None = None
    reasoning_summary: str | None = None
    web_search: bool = False
    code_interpreter: bool = False
    base_url: str | None = None
    stream: bool = False
    timeout: float | None = None
    prices: Mapping[str, Price] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None:
                _check_number(value, f"ModelSettings: {name}", least, most, whole=name in _WHOLE)
        if isinstance(self.stop, str):
            raise DefinitionError("ModelSettings: stop is a tuple of texts", hint=f"Write stop=({self.stop!r},).")
        object.__setattr__(self, "stop", tuple(self.stop))
        for model, price in self.prices.items():
            if "/" not in str(model) or not isinstance(price, Price):
                raise DefinitionError(
                    f"ModelSettings: prices has a Price for each 'provider/model', not {model!r}: {price!r}"
                )


@dataclass(frozen=True, kw_only=True)
class ContextBudget:
    """How much of the conversation the model is shown.

    The instructions, the prompt and the latest exchanges always stay. Older exchanges go in large,
    rare bites, so that the provider's prompt cache keeps hitting in between.

    Attributes:
        max_chars: When the transcript is longer than this, it is trimmed. About four characters
            make a token.
        keep_chars: What remains after a trim; half of `max_chars` unless given.
        summarise: Have the model itself summarise what goes, in a task of its own before the turn, and be shown that
            instead. A worker calls the model then.
    """

    max_chars: int = 400_000
    keep_chars: int | None = None
    summarise: bool = False

    def __post_init__(self) -> None:
        check_count(self.max_chars, "ContextBudget: max_chars", 1_000, _MAX_CONTEXT)
        if self.keep_chars is not None:
            check_count(self.keep_chars, "ContextBudget: keep_chars", 1, self.max_chars - 1)

    @property
    def kept(self) -> int:
        """Characters that remain after a trim."""
        return self.max_chars // 2 if self.keep_chars is None else self.keep_chars


def _check_number(value: float, what: str, least: float, most: float, *, whole: bool) -> None:
    if whole:
        check_count(cast("int", value), what, int(least), int(most))
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise DefinitionError(f"{what} must be from {least} to {most}, not {value!r}")
