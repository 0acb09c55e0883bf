"""Options of agents and tools under the names that other SDKs have for them."""

from __future__ import annotations

from typing import Any

import pytest
from conductor.client.worker.worker_task import WorkerTask, worker_task

from agentspan.agents import Agent, DefinitionError, ModelSettings, Retry, Tool, compile_agent, tool


def lookup(city: str) -> str:
    """Look a city up."""
    return city


def agent(**options: Any) -> Agent:
    return Agent("named", model="openai/gpt-4o", tools=[lookup], **options)


@pytest.mark.parametrize(
    ("others", "own"),
    [
        ({"max_tokens": 500}, {"model_settings": ModelSettings(max_tokens=500)}),
        (
            {"temperature": 0.2, "model_settings": ModelSettings(top_p=0.5)},
            {"model_settings": ModelSettings(top_p=0.5, temperature=0.2)},
        ),
        ({"thinking_budget_tokens": 2048}, {"model_settings": ModelSettings(thinking_tokens=2048)}),
        (
            {"base_url": "http://127.0.0.1/v1", "model_place": "worker"},
            {"model_settings": ModelSettings(base_url="http://127.0.0.1/v1"), "model_place": "worker"},
        ),
        ({"reasoning_effort": "low"}, {"model_settings": ModelSettings(reasoning_effort="low")}),
        ({"timeout_seconds": 60}, {"timeout": 60}),
        ({"timeout_seconds": 0}, {}),
        ({"max_tokens": None, "temperature": None, "timeout_seconds": None}, {}),
        ({"introduction": "Knows cities."}, {"description": "Knows cities."}),
        ({"introduction": "I know cities.", "description": "Cities."}, {"description": "Cities."}),
        ({"stateful": True, "include_contents": "default", "agents": [], "strategy": "handoff"}, {}),
    ],
)
def test_an_option_of_an_agent_under_another_name_is_that_option(others: dict[str, Any], own: dict[str, Any]) -> None:
    assert agent(**others) == agent(**own)
    assert compile_agent(agent(**others)).to_json() == compile_agent(agent(**own)).to_json()


def made(**options: Any) -> Tool[..., Any]:
    return tool(lookup, **options)


@pytest.mark.parametrize(
    ("others", "own"),
    [
        ({"timeout_seconds": 5}, {"timeout": 5}),
        ({"timeout_seconds": 0}, {}),
        ({"retry_count": 3}, {"retry": Retry(4, delay=2, backoff="linear")}),
        ({"retry_count": 0}, {"retry": Retry(1, delay=2, backoff="linear")}),
        ({"retry_delay_seconds": 9, "retry_policy": "fixed"}, {"retry": Retry(3, delay=9, backoff="fixed")}),
        ({"retry_policy": "exponential_backoff"}, {"retry": Retry(3, delay=2, backoff="exponential")}),
        ({"isolated": False, "stateful": True, "retry_count": None}, {}),
    ],
)
def test_an_option_of_a_tool_under_another_name_is_that_option(others: dict[str, Any], own: dict[str, Any]) -> None:
    assert made(**others) == made(**own)
    assert tool(**others)(lookup) == made(**own)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (agent, {"timeout": 5, "timeout_seconds": 5}, "agent 'named': timeout is given twice, under two names"),
        (
            agent,
            {"max_tokens": 5, "model_settings": ModelSettings(max_tokens=6)},
            r"agent 'named': model_settings\.max_tokens is given twice",
        ),
        (agent, {"timeout_seconds": -1}, "agent 'named': timeout must be whole seconds"),
        (agent, {"temperature": 7}, "temperature must be from 0 to 2"),
        (made, {"retry": Retry(5), "retry_count": 2}, "tool 'lookup': retry is given twice"),
        (made, {"timeout": 5, "timeout_seconds": 5}, "tool 'lookup': timeout is given twice"),
        (made, {"retry_count": 11}, "tool 'lookup': retry_count must be a whole number from 0 to 10"),
        (made, {"retry_policy": "linear"}, "tool 'lookup': retry_policy is fixed, linear_backoff, exponential_backoff"),
    ],
)
def test_two_values_and_wrong_ones_are_refused(make: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        make(**options)


@pytest.mark.parametrize(
    ("make", "name", "note"),
    [
        (agent, "gate", "router"),
        (agent, "before_model_callback", "hooks"),
        (agent, "anything", "migrating"),
        (made, "anything", "migrating"),
    ],
)
def test_what_nothing_stands_behind_is_no_option(make: Any, name: str, note: str) -> None:
    with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{name}'") as caught:
        make(**{name: True})
    assert note in caught.value.__notes__[0]


def test_a_function_of_a_conductor_worker_is_a_tool_of_its_task_name() -> None:
    decorated = worker_task(task_definition_name="city_lookup")(lookup)
    older = WorkerTask("city_lookup")(lookup)
    agent = Agent("named", model="openai/gpt-4o", tools=[decorated])
    assert [each.name for each in agent.tools] == ["city_lookup"]
    assert agent.tools[0] == tool(older) == tool(lookup, name="city_lookup")
    assert tool(decorated, name="look").name == "look"
    with pytest.raises(DefinitionError, match=r"tool 'city\.lookup': models need a name"):
        tool(worker_task(task_definition_name="city.lookup")(lookup))


def test_a_number_of_calls_that_a_tool_may_have_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="tool 'lookup': max_calls has no effect here") as warned:
        assert tool(max_calls=3)(lookup) == made()
    assert warned[0].filename == __file__
