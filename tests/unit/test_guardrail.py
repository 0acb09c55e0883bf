"""Guardrails as values: what is refused when they are declared, and what they say of what they look at."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    DefinitionError,
    Guardrail,
    GuardrailResult,
    LLMGuardrail,
    OnFail,
    Position,
    RegexGuardrail,
    compile_agent,
    guardrail,
    tool,
)
from agentspan.declare.agent import Place
from agentspan.errors import ToolFailed
from agentspan.stored.notes import Notes
from agentspan.stored.output import CheckInput, Verdict
from agentspan.worker.guards import Finding, GuardRefused, Means, arguments, entered, found_by, let_through
from agentspan.worker.output import Output, checked


def no_waiting(awaitable: Awaitable[Any]) -> Any:
    raise AssertionError("nothing is awaited here")


def no_model(guard: LLMGuardrail, text: str) -> Any:
    raise AssertionError("no model is asked here")


def no_context() -> Any:
    raise AssertionError("nothing of the run is wanted here")


MEANS = Means(wait=no_waiting, ask=no_model, context=no_context)


def short(answer: str) -> GuardrailResult:
    return GuardrailResult(passed=len(answer) < 10, message="at most ten letters", fixed_output=answer[:9])


@tool
def look(number: int) -> str:
    """Look."""
    return str(number)


# ---- declaring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Guardrail("no"), "made of a function"),  # type: ignore[arg-type]
        (lambda: Guardrail(lambda: True), "takes one argument"),  # type: ignore[misc, arg-type]
        (lambda: Guardrail(short, position="middle"), "position is 'input' or 'output'"),  # type: ignore[arg-type]
        (lambda: Guardrail(short, on_fail="shrug"), "on_fail is"),  # type: ignore[arg-type]
        (lambda: Guardrail(lambda a, b, c: True), "takes one argument"),  # type: ignore[misc, arg-type]
        (lambda: Guardrail(short, deadline=5), "a deadline is for a person"),
        (lambda: Guardrail(short, on_fail=OnFail.HUMAN, deadline=0), "deadline"),
        (lambda: Guardrail(short, on_fail="human", default="approve"), "after a deadline"),
        (lambda: RegexGuardrail("a", on_fail="human", default="maybe", deadline=5), "default is"),  # type: ignore[arg-type]
        (lambda: Guardrail(short, max_retries=11), "max_retries"),
        (lambda: Guardrail(short, name="a b"), "a name is"),
        (lambda: RegexGuardrail("("), "no regular expression"),
        (lambda: RegexGuardrail([]), "patterns is empty"),
        (lambda: RegexGuardrail("a", mode="maybe"), "mode is"),  # type: ignore[arg-type]
        (lambda: RegexGuardrail("a", mode="allow", on_fail="fix"), "nothing to fix"),
        (lambda: LLMGuardrail("gpt", "Be kind."), "provider/model"),
        (lambda: LLMGuardrail("openai/gpt-4o", " "), "policy is a text"),
        (lambda: LLMGuardrail("openai/gpt-4o", "Be kind.", max_tokens=0), "max_tokens"),
        (lambda: Agent("a", model="openai/gpt-4o", guardrails="no"), "guardrails must be a list"),  # type: ignore[arg-type]
        (
            lambda: Agent("a", model="openai/gpt-4o", guardrails=[short], tools=[tool(look.function, name="output")]),
            "no tool can be named 'output'",
        ),
        (lambda: tool(look.function, external=True, guardrails=[short]), "external tool"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        make()


def test_the_decorator_and_the_class_make_the_same() -> None:
    @guardrail
    def calm(answer: str) -> bool:
        return "!" not in answer

    assert (calm.name, calm.position, calm.on_fail) == ("calm", Position.OUTPUT, OnFail.RETRY)
    assert calm("yes") is True
    other = Guardrail(calm, position=Position.INPUT, on_fail=OnFail.RAISE)
    assert (other.name, other.func, other.position) == ("calm", calm.func, "input")
    assert guardrail(name="x", max_retries=1)(short) == Guardrail(short, name="x", max_retries=1)
    assert repr(other) == "<Guardrail calm input raise>"


def test_they_are_values() -> None:
    assert RegexGuardrail("a") == RegexGuardrail(["a"])
    assert len({RegexGuardrail("a"), RegexGuardrail("a"), RegexGuardrail("b")}) == 2
    agent = Agent("a", model="openai/gpt-4o", guardrails=[short, RegexGuardrail("a")])
    assert dataclasses.replace(agent, description="") == agent
    assert hash(agent) == hash(dataclasses.replace(agent))
    guarded = tool(look.function, guardrails=[short])
    assert dataclasses.replace(guarded, timeout=5).guardrails == (Guardrail(short),)


@pytest.mark.parametrize("place", ["server", "worker"])
def test_only_who_has_them_compiles_to_more(place: Place) -> None:
    def written(**options: Any) -> str:
        tools = options.pop("tools", [look])
        return compile_agent(Agent("a", model="openai/gpt-4o", model_place=place, tools=tools, **options)).to_json()

    bare = written()
    told = tool(look.function, guardrails=[short, RegexGuardrail("a", position="input", on_fail="fix")])
    assert written(guardrails=[]) == bare
    assert written(tools=[told]) == bare, "what tells the model is the worker's alone"
    assert "a.output" in written(guardrails=[short])
    assert "a.input" not in written(guardrails=[short])
    assert "a.input" in written(guardrails=[Guardrail(short, position="input")])
    assert "stopped_1" in written(tools=[tool(look.function, guardrails=[RegexGuardrail("a", on_fail="raise")])])


# ---- what they say -------------------------------------------------------------------------------------


def test_each_gets_what_those_before_it_have_made() -> None:
    cut = Guardrail(short, on_fail="fix", name="cut")
    digits = RegexGuardrail(r"\d", name="digits")
    found = found_by([cut, digits], "far too long 1", MEANS)

    assert found.value == "far too l"
    assert [(told.name, told.passed, told.action) for told in found.guards] == [
        ("cut", False, "fix"),
        ("digits", True, None),
    ]


def test_none_is_asked_after_one_that_ends_the_run() -> None:
    found = found_by([RegexGuardrail("a", on_fail="raise"), Guardrail(short)], "a long, long text", MEANS)

    assert found.refused is not None
    assert len(found.guards) == 1


def test_a_fix_that_is_none_is_told_to_the_model() -> None:
    def never(answer: str) -> bool:
        return False

    found = found_by([Guardrail(never, on_fail="fix")], "text", MEANS)

    ((_, told),) = found.sent_back
    assert (told.action, told.message) == ("retry", "refused by the guardrail never")


def test_texts_and_values() -> None:
    seen: list[Any] = []

    def text(given: str) -> bool:
        seen.append(given)
        return True

    def value(given: dict[str, int]) -> GuardrailResult:
        seen.append(given)
        return GuardrailResult(passed=False, fixed_output={"a": 2})

    found_by([Guardrail(text), Guardrail(value, on_fail="fix"), Guardrail(text)], {"a": 1}, MEANS)
    assert seen == ['{"a": 1}', {"a": 1}, '{"a": 2}']

    fixed = found_by([RegexGuardrail("1", on_fail="fix", replacement="3")], {"a": 1}, MEANS)
    assert fixed.value == {"a": 3}


def test_what_cannot_be_taken_is_the_guardrails_failure() -> None:
    def odd(given: str) -> Any:
        return "yes"

    with pytest.raises(ToolFailed, match="odd gave str, and no GuardrailResult"):
        found_by([Guardrail(odd)], "text", MEANS)
    with pytest.raises(ToolFailed, match="digits gives instead cannot be taken"):
        found_by([RegexGuardrail("1", on_fail="fix", name="digits")], {"a": 1}, MEANS)
    with pytest.raises(ToolFailed, match="a prompt is a text"):
        entered(
            (RegexGuardrail(".+", on_fail="fix", replacement=" "),), {"prompt": "x", "guardrails": ["regex"]}, MEANS
        )
    with pytest.raises(ValueError, match="arguments are a dict"):
        arguments([1])


def test_a_message_can_be_stored_whatever_it_says() -> None:
    def strange(given: str) -> GuardrailResult:
        return GuardrailResult(passed=False, message="\0\ud800" + "x" * 5000)

    ((_, told),) = found_by([Guardrail(strange)], "text", MEANS).sent_back
    assert told.message.startswith("\\x00\\ud800")
    assert len(told.message) == 2000


def test_a_call_is_let_through_or_refused() -> None:
    assert let_through(Finding("value"), "The call was") == "value"
    told = found_by([Guardrail(short)], "a long, long text", MEANS)
    with pytest.raises(GuardRefused, match="The call was refused: at most ten letters") as raised:
        let_through(told, "The call was")
    assert raised.value.refused is None


# ---- answers -------------------------------------------------------------------------------------------


def given(**values: Any) -> CheckInput:
    return CheckInput.of({"answer": "a long, long text", "guardrails": ["short"], **values})


def output(**options: Any) -> Output:
    found = Output.of(Agent("a", model="openai/gpt-4o", guardrails=[Guardrail(short, **options)]))
    assert found is not None
    return found


def test_an_answer_is_sent_back_as_often_as_the_guardrail_says() -> None:
    modes = [checked(output(max_retries=2), given(rejected=times), "run", MEANS)["mode"] for times in range(4)]

    assert modes == ["again", "again", "refused", "refused"]
    assert checked(output(), given(last=True), "run", MEANS)["mode"] == "refused"


def test_what_was_refused_is_not_stored_with_the_end() -> None:
    verdict = checked(output(on_fail="raise"), given(), "run", MEANS)

    assert "long text" not in json.dumps(verdict)
    assert Verdict.of(verdict).refused == Verdict.of(verdict).guards[-1]


def test_no_guardrail_looks_where_there_is_no_answer() -> None:
    assert checked(output(), given(finish_reason="max_turns"), "run", MEANS) == {"mode": "done", "value": None}
    thin = CheckInput.of({"guardrails": ["short"], "verdict": None})
    assert checked(output(), thin, "run", MEANS) == {"mode": "done", "value": None}


def test_notes_of_a_call_keep_what_was_said() -> None:
    found = found_by([Guardrail(short), RegexGuardrail("x")], "text", MEANS)
    notes = Notes(guards=tuple(found.guards))

    assert Notes.of(notes.to_json()) == notes
    assert Notes().to_json() == {}
