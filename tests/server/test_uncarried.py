"""What a model says and the server cannot carry, or that is no JSON: told to the model, never the end of its run."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from agentspan.agents import Agent, AgentRuntime, ModelSettings, Retry, agent_tool, handoff, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say
from agentspan.testing.plugin import Stage
from tests.server.guarding import PLACES, maker

UNCARRIED = {
    "a NUL": ('{"text": "a\\u0000b"}', "has a NUL character"),
    "half a character": ('{"text": "a\\ud83d"}', "has a lone surrogate"),
    "half a character in a key": ('{"text": "a", "\\ud83d": 1}', "has a lone surrogate"),
    "infinity": ('{"text": 1e400}', "cannot be written as JSON"),
    "no number": ('{"text": NaN}', "are no JSON object"),
    "deep": (f'{{"text": {"[" * 600}{"]" * 600}}}', "nested more than 500 levels"),
    "deeper than Python reads": (f'{{"text": {"[" * 100_000}{"]" * 100_000}}}', "are no JSON object"),
    "too long": (json.dumps({"text": "x" * 2_000_000}), "can be carried safely"),
    "too long as it is stored": (json.dumps({"text": "😀" * 150_000}, ensure_ascii=False), "can be carried safely"),
}


@pytest.mark.parametrize("name", UNCARRIED)
def test_a_call_with_arguments_that_cannot_be_stored_is_not_made(
    runtime: AgentRuntime, model: Stage, name: str
) -> None:
    given, why = UNCARRIED[name]
    made: list[object] = []

    @tool
    def keep(text: object = "nothing") -> str:
        """Keep something."""
        made.append(text)
        return "kept"

    script: list[Reply] = [calls(call("keep", given), call("keep", text="whole")), say("done")]
    agent = maker(model)("uncarried", "worker", script, tools=[keep], model_retry=Retry(1))
    handle = runtime.start(agent, "Keep.")

    assert handle.result(60).output == "done"
    assert made == ["whole"]
    first, second = [event for event in handle.stream() if event.type == "tool_result"]
    assert first.error is not None
    assert first.error.startswith("Not called: its arguments ")
    assert why in first.error
    assert second.result == "kept"


def test_an_answer_that_cannot_be_stored_is_asked_for_again(runtime: AgentRuntime, model: Stage) -> None:
    tries: list[str] = []

    def script(request: ModelRequest) -> Reply:
        tries.append(request.prompt)
        return say("a\0b" if len(tries) == 1 else "whole")

    agent = maker(model)("unstored", "worker", script, model_retry=Retry(2, delay=0))
    handle = runtime.start(agent, "Say it.")

    assert handle.result(60).output == "whole"
    told = [event.error or "" for event in handle.stream() if event.type == "model_retry"]
    assert len(told) == 1
    assert told[0].startswith("The model's answer cannot be stored: it has a NUL character")


class Claim(BaseModel):
    """What another agent is told; all of it may be left out."""

    amount: int = 0


def test_nobody_takes_over_by_arguments_that_are_no_json(runtime: AgentRuntime, model: Stage) -> None:
    made = maker(model)
    billing = made("billing_of_claims", "worker", lambda _: say("billed"), description="Knows prices.")

    def script(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("transfer_to_billing_of_claims", '{"amount": 3')
        assert request.tool_results[0].output == {"error": "Not called: its arguments are no JSON object. Call again."}
        return call("transfer_to_billing_of_claims", amount=3)

    desk = made("desk_of_claims", "worker", script, handoffs=[handoff(billing, input_type=Claim)])
    handle = runtime.start(desk, "I was charged twice.")

    assert handle.result(60).output == "billed"
    told = [(event.type, event.error) for event in handle.stream() if event.type in ("tool_result", "handoff")]
    assert told == [
        ("tool_result", "Not called: its arguments are no JSON object. Call again."),
        ("tool_result", None),
        ("handoff", None),
    ]


@dataclass
class Report:
    """An answer of which all may be left out."""

    place: str = "nowhere"


def test_an_answer_that_is_no_json_is_not_one_of_defaults(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")

    def script(request: ModelRequest) -> Reply:
        answer = next(each.name for each in request.tools if each.name != "look")
        return call(answer, '{"place": "Os' if request.turn == 0 else '{"place": "Oslo"}')

    @tool
    def look() -> str:
        """Look."""
        return "seen"

    settings = ModelSettings(base_url=model.server.anthropic_url)
    agent = Agent(
        "reporter_of_places",
        model=model.play(script, "anthropic"),
        model_place="worker",
        model_settings=settings,
        tools=[look],
        output_type=Report,
    )
    result = runtime.run(agent, "Where?", timeout=60)

    assert result.output == Report("Oslo")
    assert result.steps == 2


@PLACES
def test_an_agent_is_not_called_with_nothing(runtime: AgentRuntime, model: Stage, place: str) -> None:
    made = maker(model)
    told: list[object] = []
    helper = made("helper_of_none", place, lambda _: say("helped"), description="Helps.")

    def script(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call(helper.name, request=" \n")
        told.append(request.tool_results[0].output)
        return call(helper.name, request="Help.") if request.turn == 1 else say("done")

    agent = made("caller_of_none", place, script, tools=[agent_tool(helper)])

    assert runtime.run(agent, "Go.", timeout=60).output == "done"
    assert [request.prompt for request in model.requests(helper.model)] == ["Help."]
    assert told[0] == {"error": "Not called: it needs a text that says what is asked of it."}


def test_nobody_is_asked_about_what_cannot_be_stored(runtime: AgentRuntime, model: Stage) -> None:
    asked: list[str] = []

    @tool(approval=True)
    def pay(text: str) -> str:
        """Pay."""
        asked.append(text)
        return "paid"

    def script(request: ModelRequest) -> Reply:
        return call("pay", '{"text": "a\\u0000b"}') if request.turn == 0 else say("done")

    agent = maker(model)("payer_of_none", "server", script, tools=[pay])
    handle = runtime.start(agent, "Pay.")

    assert handle.result(60).output == "done"
    assert asked == []
    (told,) = [event.error or "" for event in handle.stream() if event.type == "tool_result"]
    assert told.startswith("Not called: what the arguments hold has a NUL character")
