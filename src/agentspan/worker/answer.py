"""What a provider answers, and the module that asks one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from agentspan.errors import ConfigError
from agentspan.stored.request import ModelRequest
from agentspan.worker.transcript import Exchange, LeftOut

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a provider answered.

    Attributes:
        message: The whole of it, as JSON.
        text: Its text.
        calls: The calls in it: id, name and arguments; a text in their place says why there are none.
        finish_reason: Why it ends there: `stop`, `length`, `content_filter`, `tool_call`.
        usage: Tokens of this call, and what they cost.
        model: What answered.
    """

    message: Json
    text: str
    calls: tuple[tuple[str, str, Json | str], ...]
    finish_reason: str
    usage: Json
    model: str


class Provider(Protocol):
    """Asks a model; `agentspan.worker.provider` does, on pydantic-ai."""

    def ask(
        self,
        request: ModelRequest,
        beginning: Sequence[Json],
        exchanges: Sequence[Exchange],
        left_out: LeftOut,
        hear: Callable[[str], None] | None,
    ) -> Coroutine[Any, Any, Answer]:
        """One request, without tries beside it; `hear` is called with the text as it comes.

        Raises:
            ToolFailed: The provider refuses, for good.
            ModelAway: It cannot be reached, or fails; another try may help.
        """


def check_installed(why: str, otherwise: str = "") -> None:
    """See that models can be asked here.

    Args:
        why: For what, as a sentence.
        otherwise: What to do instead.

    Raises:
        ConfigError: The extra `models` is not installed.
    """
    if find_spec("pydantic_ai") is None:
        raise ConfigError(
            f"The extra `models` is not installed here. {why}",
            hint=f"pip install 'agents-on-conductor[models]'{otherwise}.",
        )


_late = threading.Lock()


def provider() -> Provider:
    """The module that asks models, loaded with the first call: its library takes seconds."""
    with _late:
        return cast(Provider, import_module("agentspan.worker.provider"))
