"""Who calls an agent's model: what the agent has decides it, and who says `server` is told what only a worker does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic_ai.providers import infer_provider_class

from agentspan.agents import (
    Agent,
    Budget,
    CallbackHandler,
    ContextBudget,
    DefinitionError,
    MaxMessageTermination,
    ModelSettings,
    RegexGuardrail,
    Team,
    agent_tool,
    compile_agent,
    handoff,
    plan,
    tool,
)
from agentspan.declare.placing import placed, told
from agentspan.declare.providers import ONLY_IN_WORKERS
from agentspan.errors import ConfigError
from agentspan.worker import answer
from agentspan.worker.served import served_by


@dataclass
class State:
    found: int = 0


@tool
def look() -> str:
    """Look."""
    return "seen"


MODEL = "openai/none"
HELPER = Agent("helper", model=MODEL, description="Helps.")
LENDING = Agent("lending", model=MODEL, description="Helps.", state_type=State, model_place="worker")
BESIDE = RegexGuardrail(r"\d{16}", position="input", name="cards", blocking=False)
THINKING = ModelSettings(thinking_tokens=2000)
NEEDS: list[tuple[dict[str, Any], str]] = [
    ({"handoffs": [HELPER]}, "handoffs need"),
    ({"handoffs": [handoff(HELPER, when=lambda turn: True)]}, "handoffs need"),
    ({"state_type": State}, "state_type needs"),
    ({"state_type": State, "tools": [agent_tool(LENDING, state="shared")]}, "state_type needs"),
    ({"hooks": [CallbackHandler()]}, "hooks need"),
    ({"budget": Budget(turns=3)}, "a budget needs"),
    ({"termination": MaxMessageTermination(3)}, "termination needs"),
    ({"required_tools": ["look"]}, "required_tools needs"),
    ({"on_max_turns": "answer"}, "on_max_turns needs"),
    ({"instructions": lambda: "Look.", "instructions_each": "turn"}, "instructions_each='turn' needs"),
    ({"guardrails": [BESIDE]}, "cards, not blocking, needs"),
    ({"context": ContextBudget(summarise=True)}, "summarise needs"),
    ({"fallback_models": ["openai/other"]}, "openai/none and others need"),
    ({"model": [MODEL, "openai/other"]}, "openai/none and others need"),
    ({"model": "groq/llama"}, "groq/llama needs"),
    ({"model": "gemini/gemini-3.8-flash"}, "gemini/gemini-3.8-flash with tools needs"),
    ({"model": "vertex/gemini-3.1-pro"}, "vertex/gemini-3.1-pro with tools needs"),
    ({"model": "anthropic/claude-opus-4-8", "model_settings": THINKING}, "thinking_tokens and tools at Anthropic need"),
    ({"model_settings": ModelSettings(base_url="http://127.0.0.1:9")}, "a base_url needs"),
    ({"model_settings": ModelSettings(timeout=60)}, r"ModelSettings\(timeout=…\) needs"),
    ({"model_settings": ModelSettings(stream=True)}, r"ModelSettings\(stream=True\) needs"),
]
each_need = pytest.mark.parametrize(("options", "needs"), NEEDS, ids=[str(number) for number in range(len(NEEDS))])


def an_agent(name: str, options: dict[str, Any] | None = None, **more: Any) -> Agent[Any]:
    return Agent(name, **{"model": MODEL, "tools": [look], **(options or {}), **more})


@each_need
def test_an_agent_that_needs_a_worker_has_its_model_called_by_one(options: dict[str, Any], needs: str) -> None:
    agent = an_agent("placed", options)
    assert agent.place == "worker"
    assert agent.needs_worker
    said = an_agent("placed", options, model_place="worker")
    assert compile_agent(agent).to_json() == compile_agent(said).to_json()
    assert needs.replace("\\", "") in plan(agent)["modelPlaces"]["placed"]


@each_need
def test_it_is_refused_where_somebody_has_the_server_call_it(options: dict[str, Any], needs: str) -> None:
    agent = an_agent("placed", options)
    refused = f"agent 'placed': the Conductor server .*; {needs} a worker"
    for made in (lambda: an_agent("placed", options, model_place="server"), lambda: placed(agent, "server")):
        with pytest.raises(DefinitionError, match=refused) as raised:
            made()
        assert raised.value.hint == "A worker can: leave out model_place='server', of the agent or in the settings."
    assert placed(an_agent("placed", options, model_place="worker"), "server").place == "worker"


def test_what_needs_none_is_called_by_the_server() -> None:
    plain = an_agent("plain", output_type=dict[str, int], guardrails=[RegexGuardrail(r"\d{16}", name="cards")])
    assert plain.place == "server"
    assert plan(plain)["modelPlaces"] == {"plain": "server"}
    assert compile_agent(placed(plain, "server")).to_json() == compile_agent(plain).to_json()
    assert placed(plain, None) is plain
    assert placed(plain, "worker").place == "worker"


def test_all_that_needs_a_worker_is_told() -> None:
    both = an_agent("both", budget=Budget(turns=3), handoffs=[HELPER])
    assert plan(both)["modelPlaces"]["both"] == "worker: a budget needs one, handoffs need one"


def test_who_takes_over_is_called_by_the_same_worker_also_where_others_call_it() -> None:
    desk = an_agent("desk", handoffs=[HELPER], tools=[look, agent_tool(HELPER)])
    boss = an_agent("boss", tools=[agent_tool(desk, description="A desk."), agent_tool(HELPER)])
    around = placed(boss, None)
    assert told(around) == {
        "boss": "server",
        "desk": "worker: handoffs need one",
        "helper": "worker: it takes runs over",
    }
    assert placed(around, None) == around


def test_called_agents_and_members_have_what_each_needs() -> None:
    stateful = an_agent("stateful", state_type=State, description="Keeps.")
    boss = an_agent("boss", tools=[agent_tool(stateful), agent_tool(HELPER)])
    assert told(placed(boss, None)) == {
        "boss": "server",
        "stateful": "worker: state_type needs one",
        "helper": "server",
    }
    pair = Team("pair", [HELPER, stateful])
    assert told(placed(pair, None)) == {"helper": "server", "stateful": "worker: state_type needs one"}
    assert told(placed(pair, "worker"))["helper"] == "worker"
    sharing = Team("sharing", [HELPER, an_agent("other")], budget=Budget(turns=3))
    assert set(told(placed(sharing, None)).values()) == {"worker: a budget needs one"}
    assert [each.place for each in (pair, sharing)] == ["server", "server"]


def test_a_swarm_is_in_workers_and_refused_where_the_settings_have_the_server_call() -> None:
    swarm = Team("swarm", [HELPER, an_agent("other", description="Does more.")], strategy="swarm")
    assert set(told(placed(swarm, None)).values()) == {"worker: it takes runs over"}
    assert swarm.place == "worker"
    with pytest.raises(DefinitionError, match=r"agent 'swarm': the Conductor server .*; handoffs need a worker"):
        placed(swarm, "server")


def test_what_only_the_server_does_does_not_go_with_what_only_a_worker_does() -> None:
    searching = ModelSettings(web_search=True)
    wanted = (
        "web_search and code_interpreter are for model calls of the server, and a worker calls its model: hooks need"
    )
    with pytest.raises(DefinitionError, match=wanted) as raised:
        an_agent("torn", model_settings=searching, hooks=[CallbackHandler()])
    assert raised.value.hint == "Leave them out, or see to that in another way."
    with pytest.raises(DefinitionError, match="are for model calls of the server") as raised:
        placed(an_agent("torn", model_settings=searching), "worker")
    assert raised.value.hint == "Leave them out, or leave out model_place."

    @tool(name="model")
    def another() -> str:
        """A tool."""
        return ""

    assert an_agent("named", tools=[another]).place == "server"
    with pytest.raises(DefinitionError, match="no tool can be named 'model'"):
        an_agent("named", tools=[another], budget=Budget(turns=3))


def test_providers_that_only_workers_know() -> None:
    with pytest.raises(DefinitionError, match=r"unknown provider 'grok2': .*; a worker also alibaba, cerebras"):
        Agent("typed", model="grok2/x")
    with pytest.raises(DefinitionError, match="did you mean 'openrouter'"):
        Agent("typed", model="openruter/x")
    assert Agent("own", model="house/x", model_place="worker").place == "worker"

    for name in ONLY_IN_WORKERS:
        try:
            infer_provider_class(name)
        except ImportError as error:  # a package of its own
            assert name in str(error)  # noqa: PT017


@pytest.mark.parametrize("given", ["Server", "", 1, True])
def test_a_place_that_there_is_not(given: Any) -> None:
    with pytest.raises(DefinitionError, match="model_place must be 'server' or 'worker'"):
        Agent("nowhere", model=MODEL, model_place=given)


def test_without_the_extra_it_is_said_what_needs_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "find_spec", lambda name: None)
    desk = placed(an_agent("desk", handoffs=[HELPER]), None)
    with pytest.raises(ConfigError) as raised:
        served_by(desk, {"desk": 1, "helper": 1})
    assert raised.value.message == (
        "The extra `models` is not installed here. A worker calls the model of the agent desk: handoffs need one."
    )
    assert raised.value.hint == "pip install 'agents-on-conductor[models]'."
    with pytest.raises(ConfigError, match="the agent said: model_place says so"):
        served_by(an_agent("said", model_place="worker"), {"said": 1})
