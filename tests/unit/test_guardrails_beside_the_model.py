"""Guardrails beside the model's call: declaring them, and what becomes of the turn."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from agentspan.agents import Agent, DefinitionError, Guardrail, RegexGuardrail, Team, compile_agent, guardrail, tool
from agentspan.declare.guardrail import GuardrailResult, Position
from agentspan.engine.records import TaskRecord
from agentspan.stored.guard import Guarded
from agentspan.stored.output import Verdict
from agentspan.stored.plan import Plan
from agentspan.stored.request import ModelInput
from agentspan.worker.call import Call, ModelAway
from agentspan.worker.entering import Looking, once_passed
from agentspan.worker.tokens import Telling

MODEL = "openai/gpt-4o"


def short(prompt: str) -> bool:
    return len(prompt) < 10


BESIDE = Guardrail(short, position="input", blocking=False)


@tool
def look(number: int) -> str:
    """Look."""
    return str(number)


# ---- declaring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Guardrail(short, blocking=False), "blocking=False is for a prompt"),
        (lambda: RegexGuardrail("a", position="input", on_fail="fix", blocking=False), "on_fail='fix'"),
        (lambda: Guardrail(short, position="input", on_fail="human", blocking=False), "on_fail='human'"),
        (lambda: tool(look.function, guardrails=[BESIDE]), "which is for an agent's prompt"),
        (lambda: Agent("a", model=MODEL, model_place="server", guardrails=[BESIDE]), "short, not blocking, needs a w"),
    ],
)
def test_where_it_makes_no_sense_it_is_refused(make: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        make()


def test_it_is_no_task_and_costs_nobody_else_anything() -> None:
    def written(**options: Any) -> str:
        return compile_agent(Agent("a", model=MODEL, model_place="worker", **options)).to_json()

    beside = guardrail(position="input", blocking=False)(short)
    agent = Agent("a", model=MODEL, model_place="worker", guardrails=[beside])
    assert (beside, agent.guards(Position.INPUT), agent.guardrails) == (BESIDE, (), (BESIDE,))
    for tools in ([], [look]):
        found = written(tools=tools, guardrails=[beside])
        assert "a.input" not in found
        assert found != written(tools=tools)
    one, other = (Agent(name, model=MODEL, description="One.", guardrails=[beside]) for name in ("b", "c"))
    swarm = Team("s", [one, other], strategy="swarm")
    assert "s.input" not in compile_agent(swarm).to_json()


# ---- in a turn -----------------------------------------------------------------------------------------

GIVEN = ModelInput(execution_id="run", segment="run", turn=1, steps=0, usage={"prompt_tokens": 1})
PLAN = {"mode": "one", "usage": {"prompt_tokens": 11}, "tokens": {"prompt_tokens": 10}, "text": "secret"}
NO = Guarded(name="no", position="input", passed=False, message="no", action="raise", usage={"prompt_tokens": 100})
REFUSED = Verdict(mode="refused", guards=(NO,), refused=NO)


class Heard:
    def __init__(self) -> None:
        self.pieces: list[str] = []

    def tell(self, execution_id: str, task_id: str, piece: Any) -> None:
        self.pieces.append(piece.text)

    def are_elsewhere(self, model_task: str) -> bool:
        return False


@pytest.fixture
def call() -> Call:
    task = TaskRecord(task_id="t", task_def_name="a.model", status="IN_PROGRESS")
    none: Any = None
    return Call(task, none, none)


def turn(call: Call, planned: Any, look: Looking, telling: Telling | None = None, **beside: Any) -> Any:
    return asyncio.run(once_passed(planned, look, call, GIVEN, beside, telling))


def test_what_the_model_has_used_counts_where_the_prompt_is_refused(call: Call) -> None:
    answered = threading.Event()

    async def planned() -> Any:
        answered.set()
        return PLAN

    def verdict() -> Verdict:
        answered.wait(30)
        return REFUSED

    found = turn(call, planned(), Looking(verdict), agent="a")
    assert (found["mode"], found["text"], found["calls"], found["message"]) == ("refused", "", [], {})
    assert (found["usage"], found["tokens"], found["agent"]) == ({"prompt_tokens": 111}, {"prompt_tokens": 10}, "a")
    assert Plan.of(found).verdict == REFUSED


def test_the_model_is_not_waited_for_where_the_prompt_is_refused(call: Call) -> None:
    left: list[str] = []

    async def planned() -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            left.append("cancelled")

    found = turn(call, planned(), Looking(lambda: REFUSED))
    assert (found["usage"], found["tokens"], left) == ({"prompt_tokens": 101}, {}, ["cancelled"])


def test_a_model_that_fails_is_no_matter_where_the_prompt_is_refused(call: Call) -> None:
    failed = threading.Event()

    async def planned() -> Any:
        failed.set()
        raise ModelAway("busy").having_used({"prompt_tokens": 5})

    def verdict() -> Verdict:
        failed.wait(30)
        return REFUSED

    assert turn(call, planned(), Looking(verdict))["usage"] == {"prompt_tokens": 106}
    call.used.clear()

    def passed() -> Verdict:
        call.counting((GuardrailResult(passed=True), {"prompt_tokens": 100}))
        return Verdict(mode="done", value="Go.", guards=(replace(NO, passed=True),))

    with pytest.raises(ModelAway, match="busy"):
        turn(call, planned(), Looking(passed))
    assert call.used == [{"prompt_tokens": 100}], "what the guardrail has used counts for the try that failed"


def test_a_guardrail_that_fails_loses_no_tokens(call: Call) -> None:
    answered = threading.Event()

    async def planned() -> Any:
        answered.set()
        return PLAN

    def broken() -> Verdict:
        answered.wait(30)
        raise StopIteration("never")  # which no coroutine can raise as such

    with pytest.raises(RuntimeError):
        turn(call, planned(), Looking(broken))
    assert call.used == [{"prompt_tokens": 10}]


def test_a_plan_keeps_what_all_of_them_said(call: Call) -> None:
    before = Verdict(mode="done", value="Go.", guards=(Guarded(name="first", position="input", passed=True),))
    now = Verdict(mode="done", value="Go.", guards=(Guarded(name="second", position="input", passed=True),))

    async def planned() -> Any:
        return {**PLAN, "entered": before.to_json()}

    entered = Plan.of(turn(call, planned(), Looking(lambda: now))).entered
    assert entered is not None
    assert [guard.name for guard in entered.guards] == ["first", "second"]


@pytest.mark.parametrize("passes", [True, False])
def test_text_is_held_back_until_then(call: Call, passes: bool) -> None:
    heard: Any = Heard()
    telling = Telling(call.task, "run", 1, heard)
    said = threading.Event()

    def verdict() -> Verdict:
        said.wait(30)
        return Verdict(mode="done", value="Go.") if passes else REFUSED

    async def planned() -> Any:
        telling.add("One, ")
        telling.add("two")
        assert heard.pieces == []
        said.set()
        while passes and telling.held:
            await asyncio.sleep(0)
        telling.add(", three")
        telling.end()
        return PLAN

    turn(call, planned(), Looking(verdict), telling)
    assert heard.pieces == (["One, two", ", three"] if passes else [])
