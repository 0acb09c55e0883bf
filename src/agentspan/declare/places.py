"""What a model call of the Conductor server cannot do: said before a run finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    if agent.fallback_models:
        raise _worker_can(f"{what}: the Conductor server calls one model; {agent.model} and others need a worker")
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


def _worker_can(message: str) -> DefinitionError:
    return DefinitionError(message, hint="A worker can: add model_place='worker'.")
