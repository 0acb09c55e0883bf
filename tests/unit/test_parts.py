"""A feature costs who does not use it nothing: what says nothing compiles to the same bytes, in any combination."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from agentspan.agents import Agent, ContextBudget, ModelSettings, Retry, compile_agent, tool
from agentspan.declare.agent import Place


@tool
def look(number: int, deep: bool = False) -> str:
    """Look at something."""
    return f"{number} {deep}"


@tool
def put(text: str) -> None:
    """Put it there."""


NOTHING: dict[str, Any] = {
    "description": "",
    "timeout": None,
    "max_turns": 100,
    "model_settings": ModelSettings(stop=(), web_search=False, base_url=None, stream=False, prices={}),
    "model_retry": Retry(attempts=6, delay=2, backoff="exponential", max_delay=60),
    "context": ContextBudget(max_chars=400_000, keep_chars=None),
    "output_type": None,
    "output_validators": (),
    "output_retries": 2,
    "memory": None,
    "callbacks": (),
}
"""What an agent has that does not say, said."""


def written(agent: Agent[Any]) -> bytes:
    definition = compile_agent(agent)
    return json.dumps([definition.workflows, definition.tasks], ensure_ascii=False).encode()


@pytest.mark.parametrize("tools", [(), (look,), (look, put)], ids=["plain", "one", "two"])
@pytest.mark.parametrize("place", ["server", "worker"])
def test_what_says_nothing_adds_nothing(place: Place, tools: Any) -> None:
    bare = written(Agent("parts", model="openai/gpt-4o", tools=tools, model_place=place))
    names = sorted(NOTHING)
    for several in [*combinations(names, 1), *combinations(names, 2), tuple(names)]:
        given = {name: NOTHING[name] for name in several}
        agent: Agent[Any] = Agent("parts", model="openai/gpt-4o", tools=tools, model_place=place, **given)
        assert written(agent) == bare, several


def test_a_tool_that_says_nothing_adds_nothing() -> None:
    said = tool(look.function, retry=Retry(), timeout=None, concurrency=None, rate_limit=None, external=False)
    assert written(Agent("parts", model="openai/gpt-4o", tools=[said])) == written(
        Agent("parts", model="openai/gpt-4o", tools=[look])
    )


def test_who_calls_the_model_is_the_server_unless_said() -> None:
    for tools in ((), (look, put)):
        said: Agent[Any] = Agent("parts", model="openai/gpt-4o", tools=tools, model_place="server")
        assert written(said) == written(Agent("parts", model="openai/gpt-4o", tools=tools))
