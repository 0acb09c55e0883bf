"""What the tests of guardrails share: the places of the model, a tool, agents of a script, and what was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import Agent, ModelSettings, tool
from agentspan.testing.plugin import Stage

PLACES = pytest.mark.parametrize("place", ["worker", "server"])
TOOLS = pytest.mark.parametrize("tools", [False, True], ids=["alone", "with tools"])

Make = Callable[..., Agent[Any]]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


def maker(model: Stage) -> Make:
    """Makes agents whose model plays a script, in either place."""

    def made(name: str, place: str, script: Any, **options: Any) -> Agent[Any]:
        played = model.play(script)
        if place == "server":
            return Agent(f"{name}_server", model=played, **options)
        settings = ModelSettings(base_url=model.server.openai_url)
        return Agent(name, model=played, model_place="worker", model_settings=settings, **options)

    return made


def told(handle: Any) -> list[tuple[str, int, str, str | None]]:
    """The events of guardrails."""
    return [
        (event.type, event.step, event.guardrail_name or "", event.error)
        for event in handle.stream()
        if event.type.startswith("guardrail")
    ]
