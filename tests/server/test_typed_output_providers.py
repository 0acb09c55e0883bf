"""How providers are told the type of an answer: as their response format, or as one more tool."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, OutputInvalid, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say
from agentspan.testing.plugin import Stage

_numbers = itertools.count(1)


@dataclass
class Sum:
    total: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture(scope="module")
def opened(conductor_url: str, model_stage: Stage) -> Iterator[AgentRuntime]:
    urls = {"OPENAI_BASE_URL": model_stage.server.openai_url}
    urls |= dict.fromkeys(("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"), model_stage.server.anthropic_url)
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "none")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**urls, **keys}.items():
            patch.setenv(name, value)
        with AgentRuntime(conductor_url) as runtime:
            yield runtime


def agent_of(stage: Stage, kind: str, prefix: str, script: Any, **options: Any) -> Agent[Sum]:
    name = stage.play(script, kind, name=f"{prefix}-{next(_numbers)}")  # type: ignore[arg-type]
    return Agent(f"typed_{kind}", model=name, output_type=Sum, tools=[add], model_place="worker", **options)


NATIVE = {
    "responses": ("openai", "gpt-5", lambda body: body["text"]["format"]["schema"]),
    "anthropic": ("anthropic", "claude-opus-4-6", lambda body: body["output_config"]["format"]["schema"]),
    "gemini": ("gemini", "gemini-3-pro-preview", lambda body: body["generationConfig"]["responseJsonSchema"]),
}


@pytest.mark.parametrize("provider", NATIVE)
def test_the_response_format_holds_the_schema(opened: AgentRuntime, model: Stage, provider: str) -> None:
    kind, prefix, schema = NATIVE[provider]

    def reply(request: ModelRequest) -> Reply:
        return [call("add", a=1, b=2), say("three"), say('{"total": 3}')][request.turn]

    agent = agent_of(model, kind, prefix, reply)

    assert opened.run(agent, "1 + 2?", timeout=60).output == Sum(3)
    requests = model.requests(agent.model)
    assert len(requests) == 3
    for request in requests:
        assert schema(request.body)["properties"]["total"]["type"].lower() == "integer"
        assert [offered.name for offered in request.tools] == ["add"]
    assert "the answer is no JSON" in requests[-1].messages[-1].text


TOOLS = {"anthropic": ("anthropic", "claude-3-5-haiku"), "gemini": ("gemini", "gemini-2.5-flash")}


@pytest.mark.parametrize("provider", TOOLS)
def test_an_output_tool_where_there_is_none(opened: AgentRuntime, model: Stage, provider: str) -> None:
    def reply(request: ModelRequest) -> Reply:
        early = calls(call("add", a=1, b=2), call("final_result", total=0))
        return [early, call("final_result", total="many"), call("final_result", total=3)][request.turn]

    agent = agent_of(model, *TOOLS[provider], reply)
    handle = opened.start(agent, "1 + 2?")

    assert handle.result(60).output == Sum(3)
    requests = model.requests(agent.model)
    assert [offered.name for offered in requests[0].tools] == ["add", "final_result"]
    early = {result.name: result.text for result in requests[1].tool_results}
    assert "3" in early["add"]
    assert "alone" in early["final_result"]
    (told,) = requests[2].tool_results
    assert "total: Input should be a valid integer" in told.text
    assert [(e.type, e.tool_name) for e in handle.stream() if e.type == "tool_call" and e.step > 1] == []


def test_what_a_tool_gives_in_the_end(opened: AgentRuntime, model: Stage) -> None:
    agent = agent_of(model, *TOOLS["anthropic"], lambda _: call("final_result", total="many"), output_retries=1)

    with pytest.raises(OutputInvalid) as raised:
        opened.run(agent, "1 + 2?", timeout=60)

    assert raised.value.raw == '{"total": "many"}'
