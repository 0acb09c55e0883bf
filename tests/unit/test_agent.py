from __future__ import annotations

import dataclasses
import pickle
import string
from typing import Any

import pytest

from agentspan.declare.agent import Agent
from agentspan.declare.providers import PROVIDERS, find_provider
from agentspan.declare.settings import ContextBudget, ModelSettings
from agentspan.declare.tool import Retry, tool
from agentspan.errors import DefinitionError


@tool
def look(query: str) -> str:
    return query


def count(text: str) -> int:
    """Count."""
    return len(text)


def an_agent(**changes: Any) -> Agent:
    return Agent(**{"name": "a", "model": "openai/gpt-4o", **changes})


def test_defaults():
    agent = Agent("support", model="openai/gpt-4o")
    assert (agent.instructions, agent.tools, agent.description, agent.timeout) == ("", (), "", None)
    assert agent.max_turns == 100
    assert (agent.provider, agent.model_name) == ("openai", "gpt-4o")
    assert (agent.model_settings, agent.context) == (ModelSettings(), ContextBudget())
    assert agent.model_retry.attempts > 1
    assert repr(agent) == "<Agent support (openai/gpt-4o)>"


def test_tools_become_a_tuple_of_tools():
    agent = an_agent(tools=[look, count])
    assert agent.tools == (look, tool(count))
    assert repr(agent) == "<Agent a (openai/gpt-4o, look, count)>"
    assert an_agent(tools=(look,)).tools == (look,)


def test_agents_are_frozen_values():
    agent = an_agent(tools=[look, count], timeout=60.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        agent.model = "x"  # type: ignore[misc]
    assert agent == an_agent(tools=(look, count), timeout=60)
    assert hash(agent) == hash(an_agent(tools=[look, count], timeout=60))
    assert isinstance(agent.timeout, int)
    assert pickle.loads(pickle.dumps(agent)) == agent
    variant = dataclasses.replace(agent, model="anthropic/claude-sonnet-4-5")
    assert (variant.provider, variant.tools, variant.timeout) == ("anthropic", agent.tools, 60)
    assert {field.name for field in dataclasses.fields(agent)} == set(vars(agent))


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
        ("huggingface/meta-llama/Llama-3", "huggingface", "meta-llama/Llama-3"),
        ("Grok/grok-4", "Grok", "grok-4"),
        ("xai/grok-4", "Grok", "grok-4"),
        ("gemini/gemini-2.5-pro", "google_gemini", "gemini-2.5-pro"),
        ("azure_openai/gpt-4o", "azure_openai", "gpt-4o"),
    ],
)
def test_models(model, provider, name):
    agent = an_agent(model=model)
    assert (agent.provider, agent.model_name) == (provider, name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "two words"}, "agent 'two words': a name"),
        ({"name": "1st"}, "a name"),
        ({"name": "x" * 101}, "a name"),
        ({"name": ""}, "a name"),
        ({"name": "a\n"}, "a name"),
        ({"name": None}, "a name"),
        ({"model": "gpt-4o"}, "'a': model 'gpt-4o' is not of the form"),
        ({"model": "openai/"}, "not of the form"),
        ({"model": "/gpt-4o"}, "not of the form"),
        ({"model": 1}, "model must be a str"),
        ({"model": "opnai/gpt-4o"}, "unknown provider 'opnai': did you mean 'openai'"),
        ({"model": "zzz/x"}, "unknown provider 'zzz': Conductor knows openai, anthropic"),
        ({"instructions": None}, "instructions must be a str, not NoneType"),
        ({"instructions": "a\0"}, "'a': instructions has a NUL"),
        ({"description": "\ud800"}, "description has a lone surrogate"),
        ({"tools": [look, look]}, "two tools are named 'look'"),
        ({"tools": look}, "tools must be a list"),
        ({"tools": "look"}, "tools must be a list"),
        ({"tools": [1]}, "a tool is a function"),
        ({"max_turns": 0}, "max_turns must be a whole number from 1 to 100,000"),
        ({"max_turns": 100_001}, "max_turns"),
        ({"timeout": 0.5}, "timeout must be whole seconds"),
        ({"model_settings": {"temperature": 1}}, "model_settings must be a ModelSettings"),
        ({"model_retry": 3}, "model_retry must be a Retry"),
        ({"context": 400_000}, "context must be a ContextBudget"),
    ],
)
def test_wrong_values_are_refused_by_name(changes, words):
    with pytest.raises(DefinitionError) as caught:
        an_agent(**changes)
    assert words in caught.value.message
    assert "agent " in caught.value.message or "tool" in caught.value.message


def test_the_longest_name_and_run():
    assert an_agent(name="x" * 100, max_turns=100_000, model_retry=Retry(1)).max_turns == 100_000


def test_model_settings_are_checked():
    assert ModelSettings(stop=["END"]).stop == ("END",)  # type: ignore[arg-type]
    assert ModelSettings(temperature=0, top_p=1.0, max_tokens=1).temperature == 0
    for wrong in [
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"temperature": float("nan")},
        {"top_p": -0.1},
        {"top_k": 0},
        {"thinking_tokens": True},
        {"frequency_penalty": -3},
        {"stop": "END"},
    ]:
        with pytest.raises(DefinitionError, match=f"ModelSettings: {next(iter(wrong))}"):
            ModelSettings(**wrong)  # type: ignore[arg-type]


def test_context_budgets_are_checked():
    assert ContextBudget().kept == 200_000
    assert ContextBudget(max_chars=10_000, keep_chars=9_000).kept == 9_000
    for wrong in [{"max_chars": 10}, {"max_chars": 3_000_000}, {"max_chars": 5_000, "keep_chars": 5_000}]:
        with pytest.raises(DefinitionError, match="ContextBudget: "):
            ContextBudget(**wrong)


def test_providers():
    assert find_provider("OpenAI") == "openai"
    assert find_provider("nobody") is None
    names = set(string.ascii_uppercase + string.digits + "_")
    assert all(set(variable) <= names for variables in PROVIDERS.values() for variable in variables)
