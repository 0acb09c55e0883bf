"""Guardrails of agents and tools, on the real server, wherever the model is called."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    AgentRuntime,
    Conflict,
    ExecutionFailed,
    Guardrail,
    GuardrailError,
    GuardrailResult,
    LLMGuardrail,
    RegexGuardrail,
    Retry,
    guardrail,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage
from tests.server.guarding import PLACES, TOOLS, Make, look, maker, told


@pytest.fixture
def make(model: Stage) -> Make:
    return maker(model)


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


class Price(BaseModel):
    cents: int


@PLACES
def test_a_guardrail_gets_the_typed_answer(runtime: AgentRuntime, make: Make, place: str) -> None:
    seen: list[Any] = []

    def as_text(answer: str) -> bool:
        seen.append(answer)
        return True

    def capped(price: Price) -> GuardrailResult:
        seen.append(price)
        return GuardrailResult(passed=price.cents < 100, fixed_output=Price(cents=99))

    guards = [Guardrail(as_text), Guardrail(capped, on_fail="fix")]
    script = [say('{"cents": "much"}'), say('{"cents": 500}')]
    agent = make("guard_typed", place, script, output_type=Price, guardrails=guards)

    assert runtime.run(agent, "Go.", timeout=60).output == Price(cents=99)
    assert seen == ['{"cents": 500}', Price(cents=500)]


@PLACES
def test_a_guardrail_that_fails_is_tried_again_and_then_fails_the_run(
    runtime: AgentRuntime, model: Stage, make: Make, place: str
) -> None:
    tries: list[int] = []

    async def flaky(answer: str) -> bool:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("the list is away")
        return True

    retry = Retry(2, delay=0, backoff="fixed")
    agent = make("guard_flaky", place, [say("fine")], guardrails=[flaky], model_retry=retry)
    handle = runtime.start(agent, "Go.")
    with pytest.raises(ExecutionFailed, match="the list is away"):
        handle.result(60)
    handle.retry()

    assert handle.result(60).output == "fine"
    assert (len(tries), len(model.requests(agent.model))) == (3, 1)


# ---- the prompt ----------------------------------------------------------------------------------------


@TOOLS
@PLACES
def test_a_prompt_is_refused_before_the_model_is_asked(
    runtime: AgentRuntime, model: Stage, make: Make, conductor_url: str, place: str, tools: bool
) -> None:
    guards = [
        RegexGuardrail(["thunder"], position="input", name="weather"),
        RegexGuardrail(["password"], position="input", on_fail="raise", name="words", message="no passwords here"),
    ]
    agent = make("guard_entry", place, [say("hello")], guardrails=guards, tools=[look] if tools else [])
    handle = runtime.start(agent, "My password is x.")

    with pytest.raises(GuardrailError, match="The guardrail words refuses: no passwords here") as raised:
        handle.result(60)

    assert raised.value.position == "input"
    assert model.requests(agent.model) == []
    assert told(handle) == [("guardrail_pass", 1, "weather", None), ("guardrail_fail", 1, "words", "no passwords here")]
    assert [event.type for event in handle.stream()] == ["guardrail_pass", "guardrail_fail", "error"]
    assert handle.steps() == []
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert "no passwords here" in why
    assert "another prompt" in why


@TOOLS
@PLACES
def test_a_prompt_is_changed_for_the_model_and_for_the_session(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    hide = RegexGuardrail(r"\d{4}", position="input", on_fail="fix", name="cards", replacement="****")

    def reply(request: ModelRequest) -> Reply:
        return call("look", number=1) if tools and request.turn < 9 else say("hello")

    agent = make("guard_entry_fix", place, reply, guardrails=[hide], tools=[look] if tools else [])
    session = f"guards-{agent.name}-{tools}"
    handle = runtime.start(agent, "My card is 1234.", session_id=session)
    result = handle.result(60)

    assert result.output == "hello"
    assert result.messages[0] == {"role": "user", "message": "My card is ****."}
    assert [name for _, _, name, _ in told(handle)] == ["cards"]
    for request in model.requests(agent.model):
        assert request.messages[0].text == "My card is ****."
    runtime.run(agent, "Again.", session_id=session, timeout=60)
    assert model.requests(agent.model)[-1].messages[0].text == "My card is ****."


@TOOLS
@PLACES
def test_a_prompts_guardrail_that_fails_can_be_retried(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    tries: list[int] = []

    def flaky(prompt: str) -> bool:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("the list is away")
        return True

    guards = [Guardrail(flaky, position="input")]
    agent = make(
        "guard_entry_flaky",
        place,
        [say("hello")],
        guardrails=guards,
        tools=[look] if tools else [],
        model_retry=Retry(1),
    )
    handle = runtime.start(agent, "Go.")
    with pytest.raises(ExecutionFailed, match="the list is away"):
        handle.result(60)
    assert model.requests(agent.model) == []
    handle.retry()

    assert handle.result(60).output == "hello"
    assert [event.type for event in handle.stream()] == ["error", "resumed", "guardrail_pass", "step", "done"]


# ---- tools ---------------------------------------------------------------------------------------------


@PLACES
def test_a_tools_guardrails_look_at_arguments_and_results(
    runtime: AgentRuntime, model: Stage, make: Make, place: str
) -> None:
    ran: list[str] = []

    def bounded(args: dict[str, Any]) -> GuardrailResult:
        if args["table"] == "all":
            return GuardrailResult(passed=False, fixed_output={"table": "some"})
        return GuardrailResult(passed=True)

    guards = [
        RegexGuardrail(["DROP"], position="input", name="drops", message="nothing is dropped here"),
        Guardrail(bounded, position="input", on_fail="fix"),
        RegexGuardrail(r"\d{4}", on_fail="fix", name="cards", replacement="****"),
        RegexGuardrail("private", name="private", message="that is private"),
    ]

    @tool(guardrails=guards)
    def query(table: str) -> dict[str, str]:
        """Query it."""
        ran.append(table)
        return {"card": "1234", "of": table}

    script = [
        calls(call("query", table="DROP it"), call("query", table="all"), call("query", table="private")),
        say("done"),
    ]
    agent = make("guard_tool", place, script, tools=[query])
    handle = runtime.start(agent, "Go.")
    result = handle.result(60)

    assert sorted(ran) == ["private", "some"]
    assert [(each.result, each.error) for each in result.tool_calls] == [
        (None, "The call was refused: nothing is dropped here"),
        ({"card": "****", "of": "some"}, None),
        (None, "The call was made, and its result was refused: that is private"),
    ]
    events = [
        (event.type, event.tool_name, event.guardrail_name)
        for event in handle.stream()
        if event.type.startswith("guardrail")
    ]
    assert events[0] == ("guardrail_fail", "query", "drops")
    assert [name for _, _, name in events].count("bounded") == 2 + 1


@PLACES
@pytest.mark.parametrize("forked", [False, True], ids=["one", "many"])
def test_a_tools_guardrail_ends_the_run(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, forked: bool
) -> None:
    strict = RegexGuardrail("rm -rf", position="input", on_fail="raise", name="strict", message="not that")

    @tool(guardrails=[strict])
    def shell(command: str) -> str:
        """Run it."""
        return "ran"

    bad = call("shell", command="rm -rf /")
    script = [call("shell", command="ls"), calls(call("shell", command="ls"), bad) if forked else bad, say("done")]
    agent = make("guard_tool_raise", place, script, tools=[shell])
    handle = runtime.start(agent, "Go.")

    with pytest.raises(GuardrailError, match="The guardrail strict refuses: not that") as raised:
        handle.result(60)

    assert raised.value.result is not None
    assert raised.value.result.steps == 2
    assert len(model.requests(agent.model)) == 2
    types = [event.type for event in handle.stream()]
    assert types[-3:] == ["guardrail_fail", "tool_result", "error"]


# ---- a model -------------------------------------------------------------------------------------------


@PLACES
def test_a_model_is_asked_whether_it_keeps_to_a_policy(
    runtime: AgentRuntime, model: Stage, make: Make, place: str
) -> None:
    asked: list[ModelRequest] = []

    def judge(request: ModelRequest) -> Reply:
        asked.append(request)
        passed = "polite" in request.messages[-1].text
        return say(json.dumps({"passed": passed, "message": "" if passed else "be polite {x}"}))

    manners = LLMGuardrail(model.play(judge), "Be polite ${workflow.input.prompt}.", base_url=model.server.openai_url)
    agent = make("guard_model", place, [say("rude"), say("polite")], guardrails=[manners])
    handle = runtime.start(agent, "Go.")

    assert handle.result(60).output == "polite"
    assert told(handle) == [("guardrail_fail", 1, "llm", "be polite {x}"), ("guardrail_pass", 2, "llm", None)]
    assert "Be polite ${workflow.input.prompt}." in asked[0].messages[0].text + (asked[0].system or "")


@PLACES
@pytest.mark.parametrize("looks", [None, 0, 7], ids=["alone", "with tools", "over segments"])
def test_what_a_guardrails_model_uses_counts(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, looks: int | None
) -> None:
    def judge(request: ModelRequest) -> Reply:
        return say(json.dumps({"passed": "rude" not in request.messages[-1].text, "message": "be polite"}))

    def reply(request: ModelRequest) -> Reply:
        if request.turn < (looks or 0):
            return call("look", number=request.turn)
        return say("rude" if request.turn == (looks or 0) else "polite")

    asks = {"model": model.play(judge), "policy": "Be polite.", "base_url": model.server.openai_url}
    guards = [LLMGuardrail(**asks, position="input", name="entry"), LLMGuardrail(**asks)]
    agent = make("guard_usage", place, reply, guardrails=guards, tools=[] if looks is None else [look])
    handle = runtime.start(agent, "Go.")
    result = handle.result(60)

    history = handle._history
    ids = history.segment_ids(history.run()) or [handle.execution_id]
    tasks = [task for each in ids for task in runtime.client.workflow(each).tasks if task.kind in ("input", "output")]
    said = [guard for task in tasks for guard in task.output_data["result"]["guards"]]
    by_guards = sum(guard["usage"]["prompt_tokens"] + guard["usage"]["completion_tokens"] for guard in said)
    by_model = sum(step.model.usage.total_tokens for step in handle.steps())
    assert (result.output, len(said)) == ("polite", 3)
    assert by_guards > 0
    assert result.usage.total_tokens == by_model + by_guards
    assert handle.get_status().usage == result.usage


@TOOLS
@PLACES
def test_what_a_refused_prompt_used_counts(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    no = model.play(lambda _: say(json.dumps({"passed": False, "message": "no"})))
    guard = LLMGuardrail(no, "Nothing.", position="input", base_url=model.server.openai_url)
    agent = make("guard_usage_entry", place, [], guardrails=[guard], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    with pytest.raises(GuardrailError):
        handle.result(60)

    assert runtime.client.workflow(handle.execution_id, tasks=False).output["usage"]["prompt_tokens"] > 0


# ---- workers -------------------------------------------------------------------------------------------


def test_a_worker_with_other_guardrails_hands_it_on(runtime: AgentRuntime, make: Make, conductor_url: str) -> None:
    agent = make("guard_versions", "server", [say("short")], guardrails=[Guardrail(short)])
    handle = runtime.start(agent, "Go.", serve=False)
    with AgentRuntime(conductor_url) as newer:
        newer.serve(dataclasses.replace(agent, guardrails=[guardrail(name="other")(short)]), blocking=False)
        wait_until(lambda: handle.get_status().missing_workers, "the check to be handed back")
        (missing,) = handle.get_status().missing_workers
    runtime.serve(agent, blocking=False)

    assert "other guardrails" in (missing.mismatch or "")
    assert handle.result(60).output == "short"
