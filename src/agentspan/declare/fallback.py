"""Several models of one agent: the first one, and those that are asked where it gives no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentspan.declare.providers import is_provider, suggest_provider
from agentspan.errors import DefinitionError

if TYPE_CHECKING:
    from agentspan.declare.settings import ModelSettings


def models_of(
    model: str | Sequence[str], others: Sequence[str], settings: ModelSettings, what: str
) -> tuple[str, tuple[str, ...]]:
    """The first model, and the others in their order.

    Args:
        model: One model, or all of them.
        others: Those after it; unused where `model` is all of them.
        settings: How they are asked.
        what: What messages call the agent.

    Raises:
        DefinitionError: They are no names of models, none, or one of them is there twice.
    """
    names = (model, *_names(others, what)) if isinstance(model, str) else _names(model, what)
    if not names:
        raise DefinitionError(f"{what}: model names no model", hint="Such as 'openai/gpt-4o'.")
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"{what}: the model {name!r} is there twice")
    if getattr(settings, "base_url", None) is not None and len({name.partition("/")[0] for name in names}) > 1:
        raise DefinitionError(
            f"{what}: a base_url is one provider's, and its models are of several",
            hint="Set the providers' own variables, such as OPENAI_BASE_URL, where the worker runs.",
        )
    return names[0], names[1:]


def _names(given: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise DefinitionError(f"{what}: model must be a str, or a tuple of them, not {given!r}")
    return tuple(given)


def check_models(models: Sequence[str], what: str, *, anywhere: bool) -> None:
    """Refuse what names no model.

    Args:
        models: Each is `provider/name`.
        what: What messages call the agent.
        anywhere: Whether providers may be such as nobody knows here.

    Raises:
        DefinitionError: One does not.
    """
    for model in models:
        _check_model(model, what, anywhere=anywhere)


def _check_model(model: str, what: str, *, anywhere: bool) -> None:
    provider, _, name = model.partition("/")
    if not provider or not name.strip():
        raise DefinitionError(
            f"{what}: model {model!r} is not of the form 'provider/model'", hint="Such as 'openai/gpt-4o'."
        )
    if not (is_provider(provider) or anywhere):
        raise DefinitionError(
            f"{what}: model {model!r} has an unknown provider {provider!r}: {suggest_provider(provider)}"
        )
