"""Guardrails of agents and tools, on the real server, wherever the model is called."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Conflict,
    ExecutionFailed,
    Guardrail,
    GuardrailError,
    GuardrailResult,
    LLMGuardrail,
    ModelSettings,
    RegexGuardrail,
    Retry,
    guardrail,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage

PLACES = pytest.mark.parametrize("place", ["worker", "server"])
TOOLS = pytest.mark.parametrize("tools", [False, True], ids=["alone", "with tools"])

Make = Callable[..., Agent[Any]]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


@pytest.fixture
def make(model: Stage) -> Make:
    def made(name: str, place: str, script: Any, **options: Any) -> Agent[Any]:
        played = model.play(script)
        if place == "server":
            return Agent(f"{name}_server", model=played, **options)
        settings = ModelSettings(base_url=model.server.openai_url)
        return Agent(name, model=played, model_place="worker", model_settings=settings, **options)

    return made


def told(handle: Any) -> list[tuple[str, int, str, str | None]]:
    return [
        (event.type, event.step, event.guardrail_name or "", event.error)
        for event in handle.stream()
        if event.type.startswith("guardrail")
    ]


def short(answer: str) -> GuardrailResult:
    return GuardrailResult(passed=len(answer) < 10, message="at most ten letters")


# ---- the answer ----------------------------------------------------------------------------------------


@TOOLS
@PLACES
def test_an_answer_is_sent_back_until_it_passes(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    def reply(request: ModelRequest) -> Reply:
        if tools and request.turn == 0:
            return call("look", number=1)
        return say("far too long a text") if request.turn == int(tools) else say("short")

    agent = make("guard_retry", place, reply, guardrails=[Guardrail(short)], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    result = handle.result(60)

    first = 1 + int(tools)
    assert (result.output, result.steps, result.status) == ("short", first + 1, "COMPLETED")
    assert told(handle) == [
        ("guardrail_fail", first, "short", "at most ten letters"),
        ("guardrail_pass", first + 1, "short", None),
    ]
    last = model.requests(agent.model)[-1]
    assert last.messages[-2].text == "far too long a text"
    assert "at most ten letters" in last.messages[-1].text


@TOOLS
@PLACES
def test_an_answer_that_is_refused_too_often_ends_the_run(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    agent = make(
        "guard_never",
        place,
        lambda _: say("far too long a text"),
        guardrails=[Guardrail(short, max_retries=1)],
        tools=[look] if tools else [],
    )
    handle = runtime.start(agent, "Go.")

    with pytest.raises(GuardrailError, match="The guardrail short refuses: at most ten letters") as raised:
        handle.result(60)

    assert len(model.requests(agent.model)) == 2
    error = raised.value
    assert (error.guardrail, error.position, error.reason) == ("short", "output", "at most ten letters")
    assert error.result is not None
    assert (error.result.finish_reason, error.result.output, error.result.steps) == ("guardrail", "", 2)
    with pytest.raises(Conflict, match="The guardrail short ended run"):
        handle.retry()
    assert [event.type for event in handle.stream()][-1] == "error"


@TOOLS
@PLACES
def test_an_answer_is_fixed_or_ends_the_run_at_once(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    cards = RegexGuardrail(r"\d{4}", on_fail="fix", name="cards", replacement="****")
    secrets = RegexGuardrail(["secret"], on_fail="raise", name="secrets", message="there is a secret in it")
    options: dict[str, Any] = {"guardrails": [cards, secrets], "tools": [look] if tools else []}
    fixed = runtime.start(make("guard_fix", place, [say("card 1234")], **options), "Go.")
    ended = runtime.start(make("guard_raise", place, [say("secret 1234")], **options), "Go.")

    assert fixed.result(60).output == "card ****"
    assert fixed.result(60).messages[-1]["message"] == "card ****"
    assert [(type_, name) for type_, _, name, _ in told(fixed)] == [
        ("guardrail_fail", "cards"),
        ("guardrail_pass", "secrets"),
    ]
    with pytest.raises(GuardrailError, match="secrets refuses: there is a secret in it"):
        ended.result(60)
    assert [name for _, _, name, _ in told(ended)] == ["cards", "secrets"]
    assert "secret 1234" not in json.dumps(runtime.client.workflow(ended.execution_id, tasks=False).output)


@PLACES
def test_no_output_guardrail_looks_at_a_turn_of_calls(runtime: AgentRuntime, make: Make, place: str) -> None:
    seen: list[str] = []

    def watch(answer: str) -> bool:
        seen.append(answer)
        return True

    agent = make("guard_calls", place, [call("look", number=1), call("look", number=2), say("done")], tools=[look])
    agent = dataclasses.replace(agent, guardrails=[watch])
    out_of_turns = dataclasses.replace(agent, name=f"{agent.name}_out", max_turns=1)

    assert runtime.run(agent, "Go.", timeout=60).output == "done"
    assert seen == ["done"]
    with pytest.raises(ExecutionFailed, match="used all of its 1 turns"):
        runtime.run(out_of_turns, "Go.", timeout=60)
    assert seen == ["done"]
