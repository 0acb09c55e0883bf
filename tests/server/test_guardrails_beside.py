"""Guardrails that look at the prompt beside the first call of the model, on the real server."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Conflict,
    Guardrail,
    GuardrailContext,
    GuardrailError,
    GuardrailResult,
    LLMGuardrail,
    ModelSettings,
    RegexGuardrail,
    Retry,
    guardrail,
    handoff,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, say, stream, wait_until
from agentspan.testing.plugin import Stage
from agentspan.worker import models
from tests.server.guarding import told

TOOLS = pytest.mark.parametrize("tools", [False, True], ids=["alone", "with tools"])

Make = Callable[..., Agent[Any]]

PATIENCE = 60.0


@pytest.fixture
def looked() -> list[int]:
    return []


@pytest.fixture
def make(model: Stage, looked: list[int]) -> Make:
    @tool
    def look(number: int) -> str:
        """Look at something."""
        looked.append(number)
        return f"seen {number}"

    def made(name: str, script: Any, *guards: Guardrail, tools: bool = True, **options: Any) -> Agent[Any]:
        settings = ModelSettings(base_url=model.server.openai_url)
        given: dict[str, Any] = {"model_place": "worker", "model_settings": settings, "tools": [look] if tools else []}
        return Agent(name, model=model.play(script), guardrails=guards, **(given | options))

    return made


@TOOLS
def test_the_model_is_asked_while_it_looks(
    runtime: AgentRuntime, model: Stage, make: Make, looked: list[int], tools: bool
) -> None:
    asked = threading.Event()

    def reply(request: ModelRequest) -> Reply:
        asked.set()
        return call("look", number=1) if tools and request.turn == 0 else say("fine")

    @guardrail(position="input", blocking=False)
    def calm(prompt: str) -> bool:
        return asked.wait(PATIENCE) and prompt == "Go."

    agent = make("beside", reply, calm, tools=tools)
    handle = runtime.start(agent, "Go.")
    result = handle.result(PATIENCE)

    assert (result.output, result.steps, looked) == ("fine", 1 + tools, [1] * tools)
    assert told(handle) == [("guardrail_pass", 1, "calm", None)]
    types = [event.type for event in handle.stream()]
    assert types[:2] == ["step", "guardrail_pass"]
    assert len(model.requests(agent.model)) == 1 + tools
    assert not [task for task in runtime.client.workflow(handle.execution_id).tasks if task.kind == "input"]


@TOOLS
def test_a_prompt_is_refused_without_waiting_for_the_model(
    runtime: AgentRuntime, model: Stage, make: Make, looked: list[int], tools: bool
) -> None:
    asked, over = threading.Event(), threading.Event()

    def reply(request: ModelRequest) -> Reply:
        asked.set()
        over.wait(PATIENCE)  # it answers when the run is over
        return call("look", number=1) if tools else say("fine")

    async def never(prompt: str, context: GuardrailContext) -> GuardrailResult:
        return GuardrailResult(passed=not asked.wait(PATIENCE), message=f"not in {context.agent}")

    agent = make("beside_never", reply, Guardrail(never, "input", "raise", blocking=False), tools=tools)
    handle = runtime.start(agent, "Go.")
    try:
        with pytest.raises(GuardrailError, match="The guardrail never refuses: not in beside_never") as raised:
            handle.result(PATIENCE)
    finally:
        over.set()

    error = raised.value
    assert (error.guardrail, error.position, error.reason) == ("never", "input", "not in beside_never")
    assert error.result is not None
    assert (error.result.finish_reason, error.result.output, error.result.steps) == ("guardrail", "", 1)
    assert [event.type for event in handle.stream()] == ["step", "guardrail_fail", "error"]
    assert (looked, len(model.requests(agent.model))) == ([], 1)
    with pytest.raises(Conflict, match="The guardrail never ended run"):
        handle.retry()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a model's answer has arrived in the worker."""
    arrived, plan = threading.Event(), models.plan

    def planned(*given: Any) -> Any:
        arrived.set()
        return plan(*given)

    monkeypatch.setattr(models, "plan", planned)
    return arrived


@pytest.mark.parametrize("passes", [True, False])
def test_nothing_follows_before_it_has_passed(
    runtime: AgentRuntime, make: Make, looked: list[int], answered: threading.Event, passes: bool
) -> None:
    known = threading.Event()

    def slow(prompt: str) -> bool:
        return known.wait(PATIENCE) and passes

    agent = make("beside_slow", [call("look", number=1), say("fine")], Guardrail(slow, "input", blocking=False))
    handle = runtime.start(agent, "Go.")
    try:
        assert answered.wait(PATIENCE)
        status = handle.get_status()
        assert (status.step, status.is_running, looked) == (1, True, [])
        assert [event.type for event in handle._history.fresh(0)[0]] == ["step"]
    finally:
        known.set()

    if passes:
        assert handle.result(PATIENCE).output == "fine"
    else:
        with pytest.raises(GuardrailError):
            handle.result(PATIENCE)
    assert looked == [1] * passes
    used = runtime.client.workflow(handle.execution_id, tasks=False).output["usage"]
    assert used["prompt_tokens"] > 0, "what the model has used counts"
    assert handle.get_status().usage.total_tokens == used["prompt_tokens"] + used["completion_tokens"]


@pytest.mark.parametrize("passes", [True, False])
def test_no_words_are_told_before_it_has_passed(runtime: AgentRuntime, make: Make, passes: bool) -> None:
    asked, known = threading.Event(), threading.Event()

    def reply(request: ModelRequest) -> Reply:
        asked.set()
        return stream("One, ", 0.2, "two, ", known, "three.")

    def slow(prompt: str) -> bool:
        assert asked.wait(PATIENCE)
        known.set()
        return passes

    agent = make("beside_words", reply, Guardrail(slow, "input", blocking=False), tools=False)
    got = []
    try:
        for event in runtime.stream(agent, "Count.", tokens=True):
            got.append(event)
            assert event.type != "text_delta" or known.is_set()
    except GuardrailError:
        assert not passes

    words = "".join(event.text or "" for event in got if event.type == "text_delta")
    assert "One, two, three.".startswith(words)
    assert got[-1].type == ("done" if passes else "error")
    assert passes or not words


def test_all_that_was_used_counts(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    judge = model.play(lambda _: say(json.dumps({"passed": True, "message": ""})))
    url = model.server.openai_url
    first = LLMGuardrail(judge, "Be polite.", position="input", name="first", base_url=url)
    beside = LLMGuardrail(judge, "Be kind.", position="input", name="beside", base_url=url, blocking=False)
    last = LLMGuardrail(judge, "Be short.", name="last", base_url=url)
    agent = make("beside_usage", [call("look", number=1), say("fine")], first, beside, last)
    handle = runtime.start(agent, "Go.")
    result = handle.result(PATIENCE)

    asked = len(model.requests(judge))
    by_model = sum(step.model.usage.total_tokens for step in handle.steps())
    events = [event for event in handle.stream() if event.type == "guardrail_pass"]
    assert [event.guardrail_name for event in events] == ["first", "beside", "last"]
    assert asked == 3
    assert result.usage.total_tokens > by_model
    assert result.usage.total_tokens == sum(event.usage.total_tokens for event in handle.stream() if event.usage)
    assert handle.get_status().usage == result.usage


def test_one_that_fails_is_tried_again(runtime: AgentRuntime, make: Make, looked: list[int]) -> None:
    tries: list[str] = []

    def flaky(prompt: str) -> bool:
        tries.append(prompt)
        if len(tries) == 1:
            raise StopIteration("not now")
        return True

    agent = make(
        "beside_flaky",
        lambda request: say("fine") if request.turn else call("look", number=1),
        Guardrail(flaky, "input", blocking=False),
        model_retry=Retry(attempts=2, delay=0),
    )
    handle = runtime.start(agent, "Go.")

    assert handle.result(PATIENCE).output == "fine"
    assert (tries, looked) == (["Go.", "Go."], [1])
    assert [event.type for event in handle.stream()][:3] == ["step", "model_retry", "guardrail_pass"]


def test_it_sees_what_those_before_it_have_left(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    seen: list[str] = []

    def watch(prompt: str) -> bool:
        seen.append(prompt)
        return True

    cards = RegexGuardrail(r"\d{4}", position="input", on_fail="fix", name="cards")
    agent = make("beside_fix", [say("fine")], Guardrail(watch, "input", blocking=False), cards)
    handle = runtime.start(agent, "My card is 1234.")

    assert handle.result(PATIENCE).output == "fine"
    assert seen == ["My card is [removed]."]
    assert model.requests(agent.model)[0].messages[-1].text == "My card is [removed]."
    assert [(type_, name) for type_, _, name, _ in told(handle)] == [
        ("guardrail_fail", "cards"),
        ("guardrail_pass", "watch"),
    ]


def test_a_run_that_is_stopped_before_its_first_turn_does_not_pass_by_it(
    runtime: AgentRuntime, model: Stage, make: Make
) -> None:
    agent = make("beside_stopped", [say("fine")], Guardrail(lambda _: False, "input", name="no", blocking=False))
    handle = runtime.start(agent, "Go.", serve=False)
    handle.stop()
    runtime.serve(agent, blocking=False)

    with pytest.raises(GuardrailError):
        handle.result(PATIENCE)
    assert [(type_, name) for type_, _, name, _ in told(handle)] == [("guardrail_fail", "no")]


def test_agents_that_hand_over_each_have_theirs(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    here = Guardrail(lambda _: True, "input", name="here", blocking=False)
    cards = RegexGuardrail(r"\d{4}", position="input", on_fail="fix", name="cards")
    there = Guardrail(lambda prompt: "sue" not in prompt, "input", name="there", blocking=False)
    billing = make(
        "beside_billing",
        lambda request: say("paid"),
        cards,
        there,
        description="Bills.",
    )
    triage = make(
        "beside_triage",
        lambda request: call("transfer_to_beside_billing"),
        here,
        handoffs=[handoff(billing)],
        tools=False,
    )
    paid, refused = runtime.start(triage, "Pay 1234."), runtime.start(triage, "I sue 1234.")

    assert paid.result(PATIENCE).output == "paid"
    with pytest.raises(GuardrailError, match="there"):
        refused.result(PATIENCE)
    for handle, last in ((paid, "guardrail_pass"), (refused, "guardrail_fail")):
        assert [(type_, step, name) for type_, step, name, _ in told(handle)] == [
            ("guardrail_pass", 1, "here"),
            ("guardrail_fail", 2, "cards"),
            (last, 2, "there"),
        ]


def test_a_worker_with_other_guardrails_hands_the_turn_on(
    runtime: AgentRuntime, make: Make, conductor_url: str
) -> None:
    agent = make("beside_versions", [say("fine")], RegexGuardrail("x", position="input", blocking=False))
    handle = runtime.start(agent, "Go.", serve=False)
    with AgentRuntime(conductor_url) as newer:
        newer.serve(dataclasses.replace(agent, guardrails=()), blocking=False)
        wait_until(lambda: handle.get_status().missing_workers, "the turn to be handed back")
        (missing,) = handle.get_status().missing_workers
    runtime.serve(agent, blocking=False)

    assert "other guardrails" in (missing.mismatch or "")
    assert handle.result(PATIENCE).output == "fine"
