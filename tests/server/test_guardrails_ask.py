"""Guardrails that ask a person: about prompts, answers, arguments and results, on the real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    AgentHandle,
    AgentRuntime,
    Conflict,
    Guardrail,
    GuardrailError,
    GuardrailResult,
    InputError,
    RegexGuardrail,
    Request,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage
from tests.server.guarding import PLACES, TOOLS, Make, look, maker


@pytest.fixture
def make(model: Stage) -> Make:
    return maker(model)


def asked(runtime: AgentRuntime, handle: AgentHandle[Any], count: int = 1) -> Any:
    wait_until(lambda: len(runtime.requests(run=handle.execution_id)) == count, f"{count} requests", timeout=30)
    found = runtime.requests(run=handle.execution_id)
    return found[0] if count == 1 else found


def reject_each(runtime: AgentRuntime, handle: AgentHandle[Any], *reasons: str) -> None:
    """Reject one request after the other."""
    seen: set[str] = set()
    for reason in reasons:
        wait_until(
            lambda: {each.id for each in runtime.requests(run=handle.execution_id)} - seen, "another request", 30
        )
        (request,) = runtime.requests(run=handle.execution_id)
        seen.add(request.id)
        runtime.reject(request.id, reason, by="ann")


def types(handle: AgentHandle[Any]) -> list[str]:
    return [event.type for event in handle.stream()]


def short(answer: str) -> GuardrailResult:
    return GuardrailResult(passed=len(answer) < 10, message="at most ten letters")


ASKS = Guardrail(short, on_fail="human")


# ---- the answer ----------------------------------------------------------------------------------------


@TOOLS
@PLACES
def test_a_person_takes_an_answer_all_the_same(
    runtime: AgentRuntime, model: Stage, make: Make, conductor_url: str, place: str, tools: bool
) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", number=1) if tools and request.turn == 0 else say("far too long a text")

    agent = make("ask_taken", place, reply, guardrails=[ASKS], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    request = asked(runtime, handle)

    step = 1 + int(tools)
    assert (request.kind, request.tool, request.args, request.step) == (
        *("guardrail", "output"),
        *({"answer": "far too long a text"}, step),
    )
    assert [(each.name, each.message) for each in request.guardrails] == [("short", "at most ten letters")]
    status = handle.get_status()
    assert (status.is_waiting, [reason.kind for reason in status.waits]) == (True, ["person"])
    shown = CliRunner().invoke(main, ["--server", conductor_url, "request", "show", request.id]).output
    assert "at most ten letters" in shown
    why = CliRunner().invoke(main, ["--server", conductor_url, "agent", "why", handle.execution_id]).output
    assert "A person decides about the answer: the guardrail short refuses: at most ten letters" in why
    assert request.id in [each.id for each in runtime.requests(agent=agent.name)]
    runtime.approve(request.id, by="ann")

    result = handle.result(60)
    assert (result.output, result.steps, result.status) == ("far too long a text", step, "COMPLETED")
    assert types(handle)[-4:] == ["guardrail_fail", "waiting", "decision", "done"]
    decision = next(event for event in handle.stream() if event.type == "decision")
    assert (decision.approved, decision.by, decision.request_id) == (True, "ann", request.id)
    with pytest.raises(Conflict, match="approved already, by ann"):
        runtime.reject(request.id)


@TOOLS
@PLACES
def test_a_person_gives_another_answer(runtime: AgentRuntime, make: Make, place: str, tools: bool) -> None:
    agent = make("ask_edited", place, [say("far too long a text")], guardrails=[ASKS], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    request = asked(runtime, handle)

    with pytest.raises(InputError):
        runtime.approve(request.id, args={"answer": 7})
    with pytest.raises(InputError):
        runtime.approve(request.id, args={"prompt": "x"})
    runtime.approve(request.id, args={"answer": '{"short": "${workflow.input.prompt}"}'}, by="ann")

    result = handle.result(60)
    assert result.output == '{"short": "${workflow.input.prompt}"}'
    decided = runtime.request(request.id)
    assert decided is not None
    assert decided.decision is not None
    assert decided.decision.edited


@TOOLS
@PLACES
def test_the_model_reads_why_a_person_rejects_its_answer(
    runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool
) -> None:
    script = [say("far too long a text"), say("still far too long"), say("short")]
    agent = make("ask_rejected", place, script, guardrails=[ASKS], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    reject_each(runtime, handle, "say less", "less than that")

    assert handle.result(60).output == "short"
    last = model.requests(agent.model)[-1]
    assert last.messages[-2].text == "still far too long"
    assert "rejected by ann: less than that" in last.messages[-1].text
    asks = ["step", "guardrail_fail", "waiting", "decision", "model_retry"]
    assert types(handle) == [*asks, *asks, "step", "guardrail_pass", "done"]


@TOOLS
@PLACES
def test_an_answer_that_is_rejected_too_often_ends_the_run(
    runtime: AgentRuntime, make: Make, place: str, tools: bool
) -> None:
    once = Guardrail(short, on_fail="human", max_retries=0)
    agent = make("ask_never", place, [say("far too long a text")], guardrails=[once], tools=[look] if tools else [])
    handle = runtime.start(agent, "Go.")
    runtime.reject(asked(runtime, handle).id, "no", by="ann")

    with pytest.raises(GuardrailError, match="The guardrail short refuses: rejected by ann: no") as raised:
        handle.result(60)
    assert (raised.value.guardrail, raised.value.position) == ("short", "output")
    assert types(handle)[-1] == "error"


@PLACES
def test_answers_over_segments(runtime: AgentRuntime, model: Stage, make: Make, place: str) -> None:
    """The seventh and the eighth answer are rejected: the next segment goes on with that."""

    def reply(request: ModelRequest) -> Reply:
        if request.turn < 6:
            return call("look", number=request.turn)
        return say("short" if request.turn == 8 else "far too long a text")

    agent = make("ask_segments", place, reply, guardrails=[ASKS], tools=[look])
    handle = runtime.start(agent, "Go.")
    reject_each(runtime, handle, "no", "no")

    assert (handle.result(60).output, handle.result(60).steps) == ("short", 9)


class Price(BaseModel):
    cents: int


@PLACES
@pytest.mark.parametrize("kind", [Price, list[Price]], ids=["object", "wrapped"])
def test_a_typed_answer_is_edited_by_its_schema(runtime: AgentRuntime, make: Make, place: str, kind: Any) -> None:
    many = kind is not Price

    def cheap(price: Any) -> bool:
        return bool((price[0] if many else price).cents < 100)

    given: Any = {"cents": 500}
    text = json.dumps({"response": [given]} if many else given)
    agent = make(
        f"ask_typed_{'many' if many else 'one'}",
        place,
        [say(text)],
        output_type=kind,
        guardrails=[Guardrail(cheap, on_fail="human")],
    )
    handle = runtime.start(agent, "Go.")
    request = asked(runtime, handle)

    assert request.args == {"answer": [given] if many else given}
    bad: Any = {"cents": "much"}
    with pytest.raises(InputError, match="cents"):
        runtime.approve(request.id, args={"answer": [bad] if many else bad})
    runtime.approve(request.id, args={"answer": [{"cents": 9}] if many else {"cents": 9}})
    assert handle.result(60).output == ([Price(cents=9)] if many else Price(cents=9))


# ---- the prompt ----------------------------------------------------------------------------------------


SECRETS = RegexGuardrail(r"\d{4}", position="input", on_fail="human", name="numbers", message="there is a number in it")


@TOOLS
@PLACES
def test_a_prompt_waits_for_a_person(runtime: AgentRuntime, model: Stage, make: Make, place: str, tools: bool) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", number=1) if tools and request.turn < 9 else say("hello")

    agent = make("ask_prompt", place, reply, guardrails=[SECRETS], tools=[look] if tools else [])
    taken, edited, rejected = (runtime.start(agent, "My card is 1234.") for _ in range(3))
    requests = [asked(runtime, each) for each in (taken, edited, rejected)]

    assert model.requests(agent.model) == []
    assert requests[0].args == {"prompt": "My card is 1234."}
    runtime.approve(requests[0].id)
    runtime.approve(requests[1].id, args={"prompt": "My card is secret."})
    runtime.reject(requests[2].id, "no cards", by="ann")

    assert taken.result(60).messages[0]["message"] == "My card is 1234."
    assert edited.result(60).messages[0]["message"] == "My card is secret."
    assert {request.messages[0].text for request in model.requests(agent.model)} == {
        "My card is 1234.",
        "My card is secret.",
    }
    with pytest.raises(GuardrailError, match="The guardrail numbers refuses: rejected by ann: no cards") as raised:
        rejected.result(60)
    assert raised.value.position == "input"
    assert types(rejected) == ["guardrail_fail", "waiting", "decision", "error"]
    assert types(taken)[:4] == ["guardrail_fail", "waiting", "decision", "step"]


@PLACES
@pytest.mark.parametrize(("default", "answer"), [("approve", "hello"), ("reject", None)])
def test_a_deadline_decides(runtime: AgentRuntime, make: Make, place: str, default: Any, answer: str | None) -> None:
    guard = RegexGuardrail("1234", position="input", on_fail="human", deadline=1, default=default)
    agent = make(f"ask_deadline_{default}", place, [say("hello")], guardrails=[guard])
    handle = runtime.start(agent, "My card is 1234.")

    if answer is not None:
        assert handle.result(60).output == answer
    else:
        with pytest.raises(GuardrailError, match="nobody decided within 1 s"):
            handle.result(60)
    decision = next(event for event in handle.stream() if event.type == "decision")
    assert (decision.text, decision.approved) == ("Nobody decided in time.", answer is not None)


@PLACES
def test_a_run_that_is_cancelled_and_retried_asks_again(runtime: AgentRuntime, make: Make, place: str) -> None:
    agent = make("ask_again", place, [say("far too long a text")], guardrails=[ASKS], tools=[look])
    handle = runtime.start(agent, "Go.")
    first: Request = asked(runtime, handle)
    handle.cancel()
    handle.retry()
    runtime.approve(asked(runtime, handle).id)

    assert handle.result(60).output == "far too long a text"
    assert runtime.request(first.id) is not None
    seen = types(handle)
    assert seen == [*("step", "guardrail_fail", "waiting", "error", "resumed"), "decision", "done"]


# ---- tools ---------------------------------------------------------------------------------------------


@PLACES
def test_a_person_decides_about_arguments_and_results(
    runtime: AgentRuntime, model: Stage, make: Make, place: str
) -> None:
    ran: list[str] = []
    guards = [
        RegexGuardrail("rm", position="input", on_fail="human", name="removes", message="it removes something"),
        RegexGuardrail("sudo", position="input", name="sudo", message="no sudo"),
        RegexGuardrail("secret", on_fail="human", name="secrets", message="there is a secret in it"),
    ]

    @tool(guardrails=guards)
    def shell(command: str) -> dict[str, str]:
        """Run it."""
        ran.append(command)
        return {"of": command}

    commands = ["ls", "rm a", "rm b", "rm c", "cat secret", "cat secrets", "cat secret.txt"]
    turn = calls(*(call("shell", command=each) for each in commands))
    agent = make("ask_tool", place, [turn, say("done")], tools=[shell])
    handle = runtime.start(agent, "Go.")
    found = {str(each.args): each for each in asked(runtime, handle, 6)}

    first = found["{'command': 'rm a'}"]
    assert (first.kind, [each.name for each in first.guardrails]) == ("approval", ["removes"])
    runtime.approve(first.id)
    runtime.approve(found["{'command': 'rm b'}"].id, args={"command": "sudo b"})
    runtime.reject(found["{'command': 'rm c'}"].id, "keep it", by="ann")
    result = found["{'result': {'of': 'cat secret'}}"]
    assert (result.kind, result.tool, [each.name for each in result.guardrails]) == ("guardrail", "shell", ["secrets"])
    runtime.approve(result.id)
    runtime.approve(found["{'result': {'of': 'cat secrets'}}"].id, args={"result": "nothing"}, by="bob")
    runtime.reject(found["{'result': {'of': 'cat secret.txt'}}"].id, "not for models", by="ann")

    told = handle.result(60).tool_calls
    assert [each.result if each.error is None else each.error for each in told] == [
        {"of": "ls"},
        {"of": "rm a"},
        "The call was refused: no sudo",
        "Rejected by ann: keep it",
        {"of": "cat secret"},
        "nothing",
        "The call was made, and its result was refused: rejected by ann: not for models",
    ]
    assert sorted(ran) == ["cat secret", "cat secret.txt", "cat secrets", "ls", "rm a"]
    assert "secret.txt" not in json.dumps([each.text for each in model.requests(agent.model)[-1].messages[2:]])
    events = [
        (event.type, event.guardrail_name)
        for event in handle.stream()
        if event.type != "tool_call" and event.call_id == told[5].call_id
    ]
    assert events == [
        ("guardrail_pass", "removes"),
        ("guardrail_pass", "sudo"),
        ("guardrail_fail", "secrets"),
        ("waiting", None),
        ("decision", None),
        ("tool_result", None),
    ]
