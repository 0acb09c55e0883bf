"""What only a worker does that calls an agent's model: refused as the agent is declared, with the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    Budget,
    CallbackHandler,
    DefinitionError,
    MaxMessageTermination,
    ModelSettings,
    agent_tool,
    compile_agent,
    tool,
)


@dataclass
class State:
    found: int = 0


@tool
def look() -> str:
    """Look."""
    return "seen"


HELPER = Agent("helper", model="openai/none", description="Helps.")
LENDING = Agent("lending", model="openai/none", description="Helps.", model_place="worker", state_type=State)
ONLY_IN_WORKERS: list[dict[str, Any]] = [
    {"handoffs": [HELPER]},
    {"state_type": State},
    {"state_type": State, "tools": [agent_tool(LENDING, state="shared")]},
    {"hooks": [CallbackHandler()]},
    {"budget": Budget(turns=3)},
    {"termination": MaxMessageTermination(3)},
    {"required_tools": ["look"]},
    {"on_max_turns": "answer"},
    {"instructions": lambda: "Look.", "instructions_each": "turn"},
    {"fallback_models": ["openai/other"]},
    {"model": ["openai/none", "openai/other"]},
    {"model_settings": ModelSettings(base_url="http://127.0.0.1:9")},
    {"model_settings": ModelSettings(stream=True)},
]


@pytest.mark.parametrize("options", ONLY_IN_WORKERS, ids=lambda options: "-".join(options))
def test_it_is_refused_where_the_server_calls_the_model(options: dict[str, Any]) -> None:
    given = {"model": "openai/none", "tools": [look], **options}
    with pytest.raises(DefinitionError, match="worker") as raised:
        Agent("placed", model_place="server", **given)
    assert "model_place='worker'" in str(raised.value.hint)
    assert "placed" in raised.value.message
    assert compile_agent(Agent("placed", model_place="worker", **given)).workflows


def test_where_the_setting_says_who_calls_it_is_refused_as_it_is_compiled() -> None:
    for options in ONLY_IN_WORKERS[:4]:
        agent = Agent("placed", **{"model": "openai/none", "tools": [look], **options})
        with pytest.raises(DefinitionError, match="worker"):
            compile_agent(agent)
