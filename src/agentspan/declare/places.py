"""Who calls an agent's model, and what a call of the Conductor server cannot do: said before a run finds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agentspan.declare.guardrails import beside
from agentspan.declare.tool import Tool
from agentspan.errors import DefinitionError

if TYPE_CHECKING:
    from agentspan.declare.agent import Agent

_GEMINI = ("google_gemini", "vertex_ai")


def check_server_can(agent: Agent[Any]) -> None:
    """Refuse an agent whose model calls the server cannot make as they are meant.

    Conductor's model task keeps neither thoughts nor signatures (docs/engine.md), and some providers want them back.

    Raises:
        DefinitionError: It says that a worker can.
    """
    what = f"agent {agent.name!r}"
    for why in _needs_worker(agent):
        raise _worker_can(f"{what}: {why}")
    if not agent.tools:
        return
    if agent.provider == "anthropic" and agent.model_settings.thinking_tokens is not None:
        raise _worker_can(
            f"{what}: thinking_tokens and tools at Anthropic: it wants the thoughts back with each result, and the "
            "Conductor server drops them"
        )
    if agent.provider in _GEMINI and agent.model_name.startswith("gemini-3"):
        raise _worker_can(
            f"{what}: {agent.model} with tools: Gemini wants the signatures of its calls back with each result, and "
            "the Conductor server drops them"
        )


def _beside_the_turns(agent: Agent[Any]) -> Iterator[str]:
    for guard in beside(agent.guardrails):
        yield f"the Conductor server asks no guardrail beside the model; {guard.name}, not blocking, needs a worker"
    if agent.budget is not None:
        yield "the Conductor server does not ask a person before a turn; a budget needs a worker"
    if agent.context.summarise:
        yield "the Conductor server leaves older exchanges out, and asks no model about them; summarise needs a worker"


def _needs_worker(agent: Agent[Any]) -> Iterator[str]:
    """What of the agent's options only a worker does that calls its model, in words."""
    offers = "needs a worker that calls the model; the Conductor server offers all tools in each turn"
    if agent.on_max_turns == "answer":
        yield f"on_max_turns {offers}"
    if agent.termination is not None:
        yield f"termination {offers}"
    if agent.required_tools:
        yield f"required_tools {offers}"
    if agent.instructions_each == "turn":
        yield "the Conductor server has one system prompt for a run; instructions_each='turn' needs a worker"
    if agent.hooks:
        yield "the Conductor server calls no hooks as it calls a model; hooks need a worker"
    if agent.shared_state is not None:
        yield "the Conductor server keeps no state beside the conversation; state_type needs a worker"
    yield from _beside_the_turns(agent)
    if agent.handoffs:
        yield "the Conductor server calls the model of one agent; handoffs need a worker"
    if agent.fallback_models:
        yield f"the Conductor server calls one model; {agent.model} and others need a worker"


def _worker_can(message: str) -> DefinitionError:
    return DefinitionError(message, hint="A worker can: add model_place='worker'.")


def check_place(given: Mapping[str, Any], what: str) -> None:
    """Refuse options that do not go with where the model is called.

    Args:
        given: The agent's options.
        what: What messages call the agent.

    Raises:
        DefinitionError: There are some.
    """
    place = given["model_place"]
    if place not in (None, "server", "worker"):
        raise DefinitionError(f"{what}: model_place must be 'server' or 'worker', not {place!r}")
    settings = given["model_settings"]
    if place == "worker":
        if settings.web_search or settings.code_interpreter:
            raise DefinitionError(
                f"{what}: web_search and code_interpreter are for model calls of the server",
                hint="Leave them out, or leave out model_place.",
            )
        if any(_name_of(item) == "model" for item in given["tools"]):
            raise DefinitionError(f"{what}: no tool can be named 'model' where a worker calls the model")
    elif settings.base_url is not None:
        raise DefinitionError(
            f"{what}: the Conductor server calls providers where they are; a base_url needs a worker",
            hint="Add model_place='worker'.",
        )
    elif settings.timeout is not None:
        raise DefinitionError(
            f"{what}: the Conductor server waits for a model as long as it is set to; ModelSettings(timeout=…) needs a "
            "worker",
            hint="Add model_place='worker'.",
        )
    elif settings.stream:
        raise DefinitionError(
            f"{what}: the Conductor server asks for whole answers; ModelSettings(stream=True) needs a worker",
            hint="Add model_place='worker'.",
        )


def _name_of(item: object) -> str | None:
    return item.name if isinstance(item, Tool) else getattr(item, "__name__", None)
