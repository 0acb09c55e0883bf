"""Agents of several models, and what a server's model call is not asked to do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agentspan.agents import Agent, DefinitionError, ModelSettings, compile_agent, tool
from agentspan.stored.plan import Plan
from agentspan.stored.request import ModelRequest
from agentspan.worker.unmade import why_ended, why_unmade

TWO = ("anthropic/claude-opus-4-8", "openai/gpt-5")


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def test_the_first_model_is_the_agents() -> None:
    agent = Agent("two", model=TWO, model_place="worker")

    assert (agent.model, agent.fallback_models) == (TWO[0], TWO[1:])
    assert agent == Agent("two", model=TWO[0], fallback_models=TWO[1:], model_place="worker")
    assert Agent("one", model=TWO[:1]) == Agent("one", model=TWO[0])


def test_a_variant_has_the_models_that_it_is_given() -> None:
    agent = Agent("two", model=TWO, model_place="worker")

    assert replace(agent, name="other").fallback_models == TWO[1:]
    assert replace(agent, model="openai/a").fallback_models == TWO[1:]
    assert replace(agent, model=("openai/a", "openai/b")).fallback_models == ("openai/b",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": ()}, "names no model"),
        ({"model": ("openai/a", "openai/a")}, "the model 'openai/a' is there twice"),
        ({"model": ("openai/a", "b")}, "model 'b' is not of the form"),
        ({"model": ("openai/a", 1)}, "model must be a str, or a tuple of them"),
        ({"model": "openai/a", "fallback_models": "openai/b"}, "model must be a str, or a tuple of them"),
        ({"model": TWO, "model_settings": ModelSettings(base_url="http://x/v1")}, "a base_url is one provider's"),
    ],
)
def test_models_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Agent("two", model_place="worker", **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": TWO}, "the Conductor server calls one model"),
        (
            {"model": TWO[0], "tools": [add], "model_settings": ModelSettings(thinking_tokens=2000)},
            "thinking_tokens and tools at Anthropic",
        ),
        ({"model": "gemini/gemini-3.1-pro-preview", "tools": [add]}, "the signatures of its calls"),
        ({"model": "vertex/gemini-3.8-flash", "tools": [add]}, "the signatures of its calls"),
    ],
)
def test_what_the_server_cannot_do_a_worker_does(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Agent("it", model_place="server", **values)
    assert Agent("it", **values).place == "worker"
    compile_agent(Agent("it", model_place="worker", **values))


@pytest.mark.parametrize(
    "values",
    [
        {"model": TWO[0], "model_settings": ModelSettings(thinking_tokens=2000)},
        {"model": "gemini/gemini-3.1-pro-preview"},
        {"model": "gemini/gemini-2.5-pro", "tools": [add]},
    ],
)
def test_what_the_server_can_do(values: dict[str, Any]) -> None:
    compile_agent(Agent("it", model_place="server", **values))


def request_of(agent: Agent) -> dict[str, Any]:
    (found,) = (each["metadata"] for each in compile_agent(agent).workflows if "request" in each["metadata"])
    stored: dict[str, Any] = json.loads(json.dumps(found))
    return stored


def test_a_definition_names_the_models_and_one_of_a_single_model_stays_as_it_was() -> None:
    one = request_of(Agent("one", model=TWO[0], model_place="worker"))
    two = request_of(Agent("two", model=TWO, model_place="worker"))

    assert "fallback_models" not in one["request"]
    assert ModelRequest.of(one).fallback_models == ()
    assert (ModelRequest.of(two).model, ModelRequest.of(two).fallback_models) == (TWO[0], TWO[1:])
    assert ModelRequest.of({"request": ModelRequest.of(two).to_json()}) == ModelRequest.of(two)


def test_a_plan_of_the_servers_call_says_nothing_more() -> None:
    plan = Plan.of({"mode": "done", "calls": [], "usage": {}, "text": "never", "passed_over": []})
    assert (plan.said.text, plan.said.thinking, plan.said.passed_over) == ("", "", ())


def test_why_a_call_is_not_made() -> None:
    assert why_unmade("stop", {}) is None
    told = "Not called: its arguments are no JSON object. Call again."
    assert why_unmade("stop", "its arguments are no JSON object") == told
    assert "cut off at its longest" in str(why_unmade("length", {}))
    assert "content filter" in str(why_unmade("content_filter", {"a": 1}))
    assert [why_ended("stop", said=False), why_ended("stop", said=True), why_ended("content_filter", said=False)] == [
        "empty",
        "stop",
        "content_filter",
    ]
