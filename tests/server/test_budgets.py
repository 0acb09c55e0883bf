"""Budgets on the real server: a run that has used its own up waits for a person, and goes on as that decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Budget,
    Conflict,
    DefinitionError,
    ExecutionFailed,
    ExecutionTerminated,
    InputError,
    LLMGuardrail,
    ModelSettings,
    Price,
    Request,
    agent_tool,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

Make = Callable[..., Agent[Any]]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


class Seen(BaseModel):
    things: int


@pytest.fixture
def make(model: Stage) -> Make:
    def made(name: str, script: Any, price: float = 0, **options: Any) -> Agent[Any]:
        played = model.play(script)
        prices = {played: Price(input=price, output=price)} if price else {}
        settings = ModelSettings(base_url=model.server.openai_url, prices=prices)
        return Agent(name, model=played, model_place="worker", model_settings=settings, **{"tools": [look], **options})

    return made


def looking(until: int) -> Callable[[ModelRequest], Reply]:
    """Looks so often, and answers then, or where no tools are offered any more."""

    def reply(request: ModelRequest) -> Reply:
        if request.body.get("tool_choice") == "none":
            return say("I saw some.")
        return say("I saw all.") if request.turn >= until else call("look", number=request.turn)

    return reply


def paused(handle: AgentHandle[Any]) -> Request:
    wait_until(lambda: len(handle.requests()) == 1, "the request", timeout=60)
    return handle.requests()[0]


def told(handle: AgentHandle[Any]) -> list[tuple[str, int]]:
    return [(event.type, event.step) for event in handle.stream() if event.type in ("budget", "waiting", "decision")]


# ---- what is decided -----------------------------------------------------------------------------------


def test_a_run_pauses_says_so_and_goes_on_when_it_is_extended(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    agent = make("budget_extend", looking(20), budget=Budget(turns=5))
    handle = runtime.start(agent, "Look around.")
    request = paused(handle)

    assert (request.kind, request.agent, request.execution_id, request.step) == (
        "budget",
        "budget_extend",
        handle.execution_id,
        6,
    )
    assert request.args == {"spent": {"turns": 5}, "limits": {"turns": 5}, "over": ["turns"]}
    assert len(model.requests(agent.model)) == 5
    status = handle.get_status()
    assert status.is_waiting
    assert status.waits[0].text.startswith(
        "The budget is used up: 5 of 5 turns: a person decides how it goes on, since"
    )
    assert status.waits[0].next == tuple(
        f"agentspan request {verb}"
        for verb in (f"extend {request.id} --turns MORE", f"finish {request.id}", f"reject {request.id}")
    )
    assert request.id in {each.id for each in runtime.requests(agent="budget_extend")}

    handle.extend(turns=4, by="ann")
    again = paused(handle)
    assert again.id != request.id
    assert again.args == {"spent": {"turns": 9}, "limits": {"turns": 9}, "over": ["turns"]}
    assert len(model.requests(agent.model)) == 9
    runtime.extend(again.id, turns=100)

    result = handle.result(60)
    assert (result.output, result.steps, len(result.tool_calls)) == ("I saw all.", 21, 20)
    assert told(handle) == [
        ("budget", 5),
        ("waiting", 6),
        ("decision", 6),
        ("budget", 9),
        ("waiting", 10),
        ("decision", 10),
    ]
    decision = next(event for event in handle.stream() if event.type == "decision")
    assert (decision.approved, decision.by, decision.text) == (True, "ann", "Extended by 4 turns.")


def test_a_last_answer_without_tools(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    agent = make("budget_finish", looking(20), budget=Budget(calls=2))
    handle = runtime.start(agent, "Look around.")
    request = paused(handle)
    handle.finish(by="ann")
    result = handle.result(60)

    assert (result.output, result.steps, result.finish_reason) == ("I saw some.", 3, "budget")
    assert "The budget of this run is used up." in model.requests(agent.model)[-1].messages[-1].text
    decision = next(event for event in handle.stream() if event.type == "decision")
    assert (decision.request_id, decision.text) == (request.id, "The model answers with what there is.")


def test_a_last_answer_that_does_not_fit_is_sent_back_without_another_request(
    runtime: AgentRuntime, make: Make
) -> None:
    said = iter(["many", '{"things": 2}'])

    def reply(request: ModelRequest) -> Reply:
        return say(next(said)) if request.body.get("tool_choice") == "none" else call("look", number=1)

    agent = make("budget_typed", reply, output_type=Seen, budget=Budget(turns=1))
    handle = runtime.start(agent, "Look around.")
    paused(handle)
    handle.finish()

    assert handle.result(60).output == Seen(things=2)
    assert [kind for kind, _ in told(handle)] == ["waiting", "decision"]


def test_the_end(runtime: AgentRuntime, make: Make) -> None:
    handle = runtime.start(make("budget_end", looking(20), budget=Budget(calls=2)), "Look around.")
    request = paused(handle)
    handle.reject("Too dear.", by="ann")
    with pytest.raises(ExecutionFailed, match="The budget of the agent budget_end was used up") as caught:
        handle.result(60)

    assert caught.value.result is not None
    assert (caught.value.result.finish_reason, caught.value.result.steps) == ("over_budget", 2)
    with pytest.raises(Conflict, match="ended as its budget was used up"):
        handle.retry()
    for decide in (handle.extend, handle.finish):
        with pytest.raises(Conflict):
            decide(request.id)
    assert [event.type for event in handle.stream()][-2:] == ["decision", "error"]


def test_what_is_no_decision_is_refused_and_one_counts(runtime: AgentRuntime, make: Make) -> None:
    handle = runtime.start(make("budget_odd", looking(4), budget=Budget(calls=2, tokens=10**9)), "Look around.")
    request = paused(handle)
    for more in ({}, {"cost": 1.0}, {"calls": 0}, {"calls": -1}, {"calls": 1.5}, {"tokens": 5}):
        with pytest.raises(InputError):
            handle.extend(**more)  # type: ignore[arg-type]
    for verb in (handle.approve, lambda: handle.respond("more")):
        with pytest.raises(InputError):
            verb()
    handle.extend(calls=10)
    for again in (lambda: runtime.extend(request.id, calls=10), lambda: runtime.finish(request.id)):
        with pytest.raises(Conflict, match="about the budget is extended already"):
            again()

    assert handle.result(60).output == "I saw all."


def test_nobody_decides_in_time(runtime: AgentRuntime, make: Make) -> None:
    finishes = make("budget_late", looking(20), budget=Budget(calls=2, deadline=1))
    ends = make("budget_late_end", looking(20), budget=Budget(calls=2, deadline=1, default="cancel"))
    first, second = runtime.start(finishes, "Look."), runtime.start(ends, "Look.")

    assert first.result(60).output == "I saw some."
    with pytest.raises(ExecutionFailed, match="was used up"):
        second.result(60)
    late = next(event for event in first.stream() if event.type == "decision")
    assert (late.by, late.text) == (None, "The model answers with what there is. Nobody decided in time.")


def test_somebody_is_told_and_a_notice_that_hangs_holds_nothing(runtime: AgentRuntime, make: Make) -> None:
    asked: list[Request] = []
    opened = threading.Event()

    def tell(request: Request) -> None:
        asked.append(request)
        opened.wait(60)

    agent = make("budget_told", looking(20), budget=Budget(calls=2, deadline=600), on_request=tell)
    handle = runtime.start(agent, "Look around.")
    wait_until(lambda: len(asked) == 1, "the notice", timeout=60)
    runtime.finish(asked[0].id)

    assert (asked[0].kind, asked[0].args["over"], asked[0].default) == ("budget", ["calls"], "finish")
    assert handle.result(60).output == "I saw some."
    opened.set()


def test_a_run_that_is_cancelled_meanwhile_asks_again_when_it_is_retried(runtime: AgentRuntime, make: Make) -> None:
    handle = runtime.start(make("budget_cancelled", looking(20), budget=Budget(calls=2)), "Look around.")
    request = paused(handle)
    handle.cancel()
    with pytest.raises(ExecutionTerminated):
        handle.result(60)
    before = list(handle.stream())
    with pytest.raises(Conflict):
        handle.extend(request.id, calls=1)

    handle.retry()
    assert paused(handle).args == request.args
    handle.finish()
    assert handle.result(60).output == "I saw some."
    after = [(event.seq, event.type) for event in handle.stream()]
    assert after[: len(before)] == [(event.seq, event.type) for event in before], "a cursor stays what it was"
    assert [kind for _, kind in after[len(before) - 2 :]] == ["waiting", "error", "resumed", "decision", "step", "done"]


def test_a_stop_meanwhile_has_the_model_answer_after_the_decision(runtime: AgentRuntime, make: Make) -> None:
    handle = runtime.start(make("budget_stopped", looking(20), budget=Budget(calls=2)), "Look around.")
    paused(handle)
    handle.stop()
    handle.extend(calls=1)
    assert handle.result(60).output == "I saw some."


# ---- what is counted -----------------------------------------------------------------------------------


def test_what_is_nearly_used_up_is_told_once(runtime: AgentRuntime, make: Make) -> None:
    agent = make("budget_warn", looking(9), budget=Budget(calls=10, time=3600, input_tokens_per_request=10**6))
    handle = runtime.start(agent, "Look around.")

    assert handle.result(60).output == "I saw all."
    assert [event.text for event in handle.stream() if event.type == "budget"] == [
        "Nearly used up: 8 of 10 calls of tools."
    ]


def test_cost_and_tokens_count_those_of_agents_that_it_calls(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    below = make("budget_below", looking(3), price=1_000_000, description="Looks.")
    caller = looking_above(2)
    agent = make("budget_above", caller, price=1, tools=[agent_tool(below)], budget=Budget(cost=10.0))
    handle = runtime.start(agent, "Look around.")
    request = paused(handle)
    spent = sum(each.tokens for each in model.requests(below.model))

    assert request.step == 2, "it is not exceeded by more than the turn in flight"
    assert request.args["spent"]["cost"] > spent / 2 > 10
    handle.extend(cost=request.args["spent"]["cost"] * 3)
    assert handle.result(60).output == "All was asked."
    assert handle.result(60).usage.cost == pytest.approx(request.args["spent"]["cost"] * 2, rel=0.5)


def looking_above(until: int) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        return say("All was asked.") if request.turn >= until else call("budget_below", request="Look.")

    return reply


def test_a_budget_of_an_agent_that_is_called_is_decided_in_the_callers_run(runtime: AgentRuntime, make: Make) -> None:
    below = make("budget_called", looking(20), description="Looks.", budget=Budget(turns=2))

    def caller(request: ModelRequest) -> Reply:
        return say("Done.") if request.turn else call("budget_called", request="Look.")

    handle = runtime.start(make("budget_calling", caller, tools=[agent_tool(below)]), "Go.")
    request = paused(handle)
    assert (request.agent, request.step) == ("budget_called", 3)
    handle.reject()

    assert handle.result(60).output == "Done."
    returned = next(event for event in handle.stream() if event.type == "tool_result" and not event.path)
    assert "was used up" in str(returned.error)


@pytest.mark.parametrize("looks", [None, 7], ids=["alone", "over segments"])
def test_what_a_guardrails_model_uses_counts(
    runtime: AgentRuntime, model: Stage, make: Make, looks: int | None
) -> None:
    turns = looks or 0

    def judge(request: ModelRequest) -> Reply:
        return say(json.dumps({"passed": "rude" not in request.messages[-1].text, "message": "be polite"}))

    def reply(request: ModelRequest) -> Reply:
        if request.turn < turns:
            return call("look", number=request.turn)
        return say("rude" if request.turn == turns else "polite")

    guard = LLMGuardrail(model.play(judge), "Be polite.", base_url=model.server.openai_url)
    budget = Budget(turns=turns + 1, tokens=10**9)
    options: Any = {"tools": []} if looks is None else {}
    agent = make("budget_guarded", reply, guardrails=[guard], budget=budget, **options)
    handle = runtime.start(agent, "Go.")
    request = paused(handle)
    by_both = sum(each.tokens for name in (agent.model, guard.model) for each in model.requests(name))

    assert request.args["spent"]["tokens"] > by_both, "answers count, too"
    by_model = sum(step.model.usage.total_tokens for step in handle.steps())
    assert request.args["spent"]["tokens"] > by_model
    handle.extend(turns=1)
    assert handle.result(60).output == "polite"


def test_agents_that_hand_over_have_one_budget(runtime: AgentRuntime, make: Make) -> None:
    desk = make("budget_desk", looking(20), description="Looks.")

    def first(request: ModelRequest) -> Reply:
        return call(next(each.name for each in request.tools))

    handle = runtime.start(make("budget_triage", first, tools=[], handoffs=[desk], budget=Budget(turns=3)), "Look.")
    request = paused(handle)
    assert (request.agent, request.step, request.args["spent"]) == ("budget_triage", 4, {"turns": 3})
    handle.finish()

    assert handle.result(60).output == "I saw some."


def test_the_time_of_a_run_is_without_that_of_the_decision(runtime: AgentRuntime, make: Make) -> None:
    def reply(request: ModelRequest) -> Reply:
        return looking(3)(request).after(0.3)

    handle = runtime.start(make("budget_time", reply, budget=Budget(time=0.2)), "Look around.")
    first = paused(handle)
    asked = first.asked
    wait_until(lambda: runtime.client.moment().timestamp() - asked.timestamp() > 3, "a while")  # type: ignore[union-attr]
    handle.extend(time=first.args["spent"]["time"])
    second = paused(handle)

    assert second.args["spent"]["time"] >= first.args["spent"]["time"] + 0.2
    between = (second.asked - asked).total_seconds()  # type: ignore[operator]
    assert second.args["spent"]["time"] - first.args["spent"]["time"] < between - 2, "three seconds were the decision"
    handle.finish()
    assert handle.result(60).is_success


def test_an_agent_without_tools_asks_before_an_answer_is_asked_for_again(runtime: AgentRuntime, make: Make) -> None:
    said = iter(["many", '{"things": 2}'])
    agent = make("budget_plain", lambda _: say(next(said)), tools=[], output_type=Seen, budget=Budget(turns=1))
    handle = runtime.start(agent, "How many?")
    paused(handle)
    handle.extend(turns=1)

    assert handle.result(60).output == Seen(things=2)


# ---- the command line, and what is refused ---------------------------------------------------------------


def test_the_command_line(runtime: AgentRuntime, make: Make) -> None:
    handle = runtime.start(make("budget_cli", looking(20), budget=Budget(calls=2)), "Look around.")
    request = paused(handle)

    def cli(*words: str) -> str:
        result = CliRunner().invoke(main, ["--server", runtime.settings.server_url, *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "The budget is used up: 2 of 2 calls of tools" in cli("agent", "why", handle.execution_id)
    assert request.id in cli("request", "list", "--agent", "budget_cli")
    assert '"minProperties"' in cli("request", "show", request.id)
    assert "is extended" in cli("request", "extend", request.id, "--calls", "1", "--by", "ann")
    shown = json.loads(cli("request", "show", request.id, "--json"))
    assert shown["decision"]["extended"] == {"calls": 1}
    assert "extended with 1 call of a tool more by ann" in cli("request", "show", request.id)
    wait_until(
        lambda: [each.id for each in handle.requests()] not in ([], [request.id]), "the next request", timeout=60
    )
    cli("request", "finish", handle.requests()[0].id)
    assert handle.result(60).output == "I saw some."


def test_a_cost_that_nobody_can_count_is_told(
    runtime: AgentRuntime, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.serve(make("budget_unpriced", looking(1), budget=Budget(cost=1.0)), blocking=False)

    assert "budget_unpriced has a budget for cost, and nobody knows what" in caplog.text


def test_the_server_cannot_ask() -> None:
    with pytest.raises(DefinitionError, match="a budget needs a worker"):
        Agent("budget_server", model="openai/gpt-4o", model_place="server", budget=Budget(calls=1))
