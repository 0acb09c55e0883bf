"""Who calls an agent's model: it follows from what the agent has, unless somebody says it.

The Conductor server calls models, where it can do so as it is meant; a worker does all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentspan.declare.guardrails import beside
from agentspan.errors import DefinitionError

if TYPE_CHECKING:
    from agentspan.declare.agent import Agent

Place = Literal["server", "worker"]
"""Who calls an agent's model."""

_GEMINI = ("google_gemini", "vertex_ai")
_ALL_TOOLS = "the Conductor server offers all tools in each turn"


@dataclass(frozen=True)
class _Need:
    """Something of an agent for which a worker has to call its model.

    Attributes:
        because: What the Conductor server does.
        who: What it is, and that it needs: `handoffs need`.
    """

    because: str
    who: str


def place_of(agent: Agent[Any]) -> Place:
    """Who calls an agent's model: who it says, else a worker where something that it has needs one."""
    if agent.model_place is not None:
        return agent.model_place
    return "worker" if any(_needs(agent)) else "server"


def why_worker(agent: Agent[Any]) -> tuple[str, ...]:
    """What of an agent needs a worker that calls its model: `handoffs need one`; empty where the server can."""
    return tuple(f"{need.who} one" for need in _needs(agent))


def why_called(agent: Agent[Any]) -> str:
    """That a worker calls the model of an agent, and what of it needs one, as a sentence."""
    why = ", ".join(why_worker(agent)) or "model_place says so"
    return f"A worker calls the model of the agent {agent.name}: {why}."


def check_place(agent: Agent[Any]) -> None:
    """Refuse an agent whose model cannot be called where it is to be, as it is meant.

    Raises:
        DefinitionError: It says why, and who can.
    """
    if agent.model_place not in (None, "server", "worker"):
        raise DefinitionError(
            f"agent {agent.name!r}: model_place must be 'server' or 'worker', not {agent.model_place!r}"
        )
    if place_of(agent) == "server":
        check_server_can(agent)
    else:
        _check_worker_can(agent)


def check_server_can(agent: Agent[Any]) -> None:
    """Refuse an agent whose model calls the Conductor server cannot make as they are meant.

    Raises:
        DefinitionError: It says that a worker can.
    """
    for need in _needs(agent):
        raise DefinitionError(
            f"agent {agent.name!r}: {need.because}; {need.who} a worker",
            hint="A worker can: leave out model_place='server', of the agent or in the settings.",
        )


def _check_worker_can(agent: Agent[Any]) -> None:
    what, needs = f"agent {agent.name!r}", why_worker(agent)
    said = "leave out model_place" if agent.model_place is not None else "see to that in another way"
    if agent.model_settings.web_search or agent.model_settings.code_interpreter:
        called = f", and a worker calls its model: {', '.join(needs)}" if needs else ""
        raise DefinitionError(
            f"{what}: web_search and code_interpreter are for model calls of the server{called}",
            hint=f"Leave them out, or {said}.",
        )
    if any(tool.name == "model" for tool in agent.tools):
        raise DefinitionError(f"{what}: no tool can be named 'model' where a worker calls the model")


def _needs(agent: Agent[Any]) -> Iterator[_Need]:
    """What of an agent needs a worker; nothing of a team whose members see to it themselves."""
    if not (agent.has_turns or agent.handoffs):
        return
    yield from _of_its_end(agent)
    yield from _of_its_turns(agent)
    yield from _of_its_models(agent)


def _of_its_end(agent: Agent[Any]) -> Iterator[_Need]:
    if agent.on_max_turns == "answer":
        yield _Need(_ALL_TOOLS, "on_max_turns needs")
    if agent.termination is not None:
        yield _Need(_ALL_TOOLS, "termination needs")
    if agent.required_tools:
        yield _Need(_ALL_TOOLS, "required_tools needs")


def _of_its_turns(agent: Agent[Any]) -> Iterator[_Need]:
    if agent.instructions_each == "turn":
        yield _Need("the Conductor server has one system prompt for a run", "instructions_each='turn' needs")
    if agent.hooks:
        yield _Need("the Conductor server calls no hooks as it calls a model", "hooks need")
    if agent.shared_state is not None:
        yield _Need("the Conductor server keeps no state beside the conversation", "state_type needs")
    for guard in beside(agent.guardrails):
        yield _Need("the Conductor server asks no guardrail beside the model", f"{guard.name}, not blocking, needs")
    if agent.budget is not None:
        yield _Need("the Conductor server does not ask a person before a turn", "a budget needs")
    if agent.context.summarise:
        yield _Need("the Conductor server leaves older exchanges out, and asks no model about them", "summarise needs")
    if agent.handoffs:
        yield _Need("the Conductor server calls the model of one agent", "handoffs need")


def _of_its_models(agent: Agent[Any]) -> Iterator[_Need]:
    """Conductor's model task keeps neither thoughts nor signatures (docs/engine.md), which some providers want back."""
    settings = agent.model_settings
    if not agent.provider:
        yield _Need("the Conductor server does not know that provider", f"{agent.model} needs")
    if agent.fallback_models:
        yield _Need("the Conductor server calls one model", f"{agent.model} and others need")
    if settings.base_url is not None:
        yield _Need("the Conductor server calls providers where they are", "a base_url needs")
    if settings.timeout is not None:
        yield _Need("the Conductor server waits for a model as long as it is set to", "ModelSettings(timeout=…) needs")
    if settings.stream:
        yield _Need("the Conductor server asks for whole answers", "ModelSettings(stream=True) needs")
    if agent.tools and agent.provider == "anthropic" and settings.thinking_tokens is not None:
        yield _Need(
            "the Conductor server drops the thoughts that Anthropic wants back with each result",
            "thinking_tokens and tools at Anthropic need",
        )
    if agent.tools and agent.provider in _GEMINI and agent.model_name.startswith("gemini-3"):
        yield _Need(
            "the Conductor server drops the signatures of its calls that Gemini wants back with each result",
            f"{agent.model} with tools needs",
        )
