"""Which runs of a list wait for a person, and what a timeline says of requests beside calls, on the real server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Approval,
    Budget,
    ExecutionFailed,
    Guardrail,
    GuardrailError,
    GuardrailResult,
    Request,
    Team,
    agent_tool,
    human_tool,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.usefixtures("scripted_openai")

AT = r"\d\d:\d\d:\d\d UTC"


def shown(runtime: AgentRuntime, *words: str) -> str:
    wide = {"COLUMNS": "1000"}
    found = CliRunner().invoke(main, ["--server", runtime.settings.server_url, "agent", *words], env=wide)
    assert found.exit_code == 0, found.output
    return found.output


def asked(runtime: AgentRuntime, handle: AgentHandle[Any]) -> Request:
    wait_until(lambda: runtime.requests(run=handle.execution_id), "a request", 30)
    (found,) = runtime.requests(run=handle.execution_id)
    return found


def asked_about(runtime: AgentRuntime, handle: AgentHandle[Any], what: str) -> Request:
    def is_there() -> bool:
        return any(what in request.args for request in runtime.requests(run=handle.execution_id))

    wait_until(is_there, f"a request about the {what}", 30)
    return asked(runtime, handle)


@tool(approval=Approval())
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


def calls_once(name: str, **args: Any) -> Any:
    def reply(request: ModelRequest) -> Reply:
        return call(name, **args) if request.turn == 0 else say("Done.")

    return reply


# ---- lists ---------------------------------------------------------------------------------------------


def listed(runtime: AgentRuntime, *agents: str) -> dict[str, list[dict[str, Any]]]:
    lines = [line for name in agents for line in shown(runtime, "list", "--agent", name, "-o", "jsonl").splitlines()]
    return {run["execution_id"]: run["asking"] for run in map(json.loads, lines)}


def test_a_list_says_which_runs_wait_for_whom(runtime: AgentRuntime, model: Stage) -> None:
    def made(name: str, script: Any, **options: Any) -> Agent[Any]:
        return Agent(name, model=model.play(script), model_place="worker", description="Pays.", **options)

    ask = human_tool("ask_boss", "Ask the boss.")
    payer = made("listed_payer", calls_once("pay", amount=1), tools=[pay])
    caller = made("listed_caller", calls_once("listed_payer", request="Pay."), tools=[agent_tool(payer)])
    asker = made("listed_asker", calls_once("ask_boss", question="Sure?"), tools=[ask])
    frugal = made("listed_frugal", calls_once("look", number=1), tools=[look], budget=Budget(calls=1))
    ended = runtime.start(made("listed_done", [say("Done.")]), "Go.")
    ended.result(60)
    waiting = {agent.name: runtime.start(agent, "Go.") for agent in (payer, caller, asker, frugal)}
    requests = {name: asked(runtime, handle) for name, handle in waiting.items()}

    expected = {
        waiting[name].execution_id: [{"request_id": request.id, "kind": request.kind, "tool": request.tool}]
        for name, request in requests.items()
    }
    names = (*waiting, "listed_done")
    wait_until(
        lambda: listed(runtime, *names) == {**expected, ended.execution_id: []}, "the index to tell who waits", 30
    )
    text = shown(runtime, "list", "--agent", "listed_caller")
    assert re.search(r"RUNNING +approval of pay ", text)
    assert re.search(r"RUNNING +budget ", shown(runtime, "list", "--agent", "listed_frugal"))

    runtime.approve(requests["listed_payer"].id, by="ann")
    waiting["listed_payer"].result(60)
    wait_until(lambda: listed(runtime, "listed_payer")[waiting["listed_payer"].execution_id] == [], "it to be over")
    for name in ("listed_caller", "listed_asker", "listed_frugal"):
        waiting[name].cancel()


def test_a_call_that_is_at_work_waits_for_nobody(runtime: AgentRuntime, model: Stage) -> None:
    """The workflow of an approval goes on with the call itself."""
    payer = Agent("listed_unserved", model=model.play(calls_once("pay", amount=1)), model_place="server", tools=[pay])
    handle = runtime.start(payer, "Go.", serve=False)
    wait_until(lambda: [call for step in handle.steps() for call in step.calls], "the call to be made", 60)

    assert listed(runtime, "listed_unserved") == {handle.execution_id: []}
    handle.cancel()


# ---- timelines -----------------------------------------------------------------------------------------


def refuses_long(text: str) -> GuardrailResult:
    return GuardrailResult(passed=len(text) < 10, message="at most ten letters")


def guard(position: str) -> Guardrail:
    return Guardrail(refuses_long, position=position, on_fail="human")  # type: ignore[arg-type]


def inspected(runtime: AgentRuntime, handle: AgentHandle[Any]) -> tuple[str, dict[str, Any]]:
    text = shown(runtime, "inspect", handle.execution_id)
    return text, json.loads(shown(runtime, "inspect", handle.execution_id, "-o", "json"))


@pytest.mark.parametrize("place", ["worker", "server"])
def test_the_timeline_tells_of_guardrails_that_ask(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    @tool(guardrails=[guard("output")])
    def fetch(number: int) -> str:
        """Fetch something."""
        return f"a long text about {number}"

    def reply(request: ModelRequest) -> Reply:
        return call("fetch", number=1) if request.turn == 0 else say("a long answer")

    guards = [guard("input"), guard("output")]
    agent = Agent("told_guards", model=model.play(reply), model_place=place, tools=[fetch], guardrails=guards)
    handle = runtime.start(agent, "A long prompt.")
    for reason in ("prompt", "result", "answer"):
        request = asked_about(runtime, handle, reason)
        assert f"agentspan request show {request.id}" in shown(runtime, "inspect", handle.execution_id)
        runtime.approve(request.id, by=f"ann-{reason}")
    handle.result(60)

    text, found = inspected(runtime, handle)
    for reason in ("prompt", "result", "answer"):
        asks = f"? A person decides about the {reason}"
        assert re.search(
            rf"{re.escape(asks)}.*refuses_long refuses: at most ten letters\.\n +! approved by ann-{reason}, {AT}\n",
            text,
        )
    first, second = found["steps"]
    assert [each["decision"]["by"] for each in (*first["requests"], *second["requests"])] == [
        "ann-prompt",
        "ann-answer",
    ]
    assert first["calls"][0]["review"]["decision"]["by"] == "ann-result"
    assert first["requests"][0]["decided"] >= first["requests"][0]["asked"]
    assert "requests" not in found


def test_the_timeline_tells_of_a_prompt_that_is_rejected(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("told_prompt", model=model.play([say("Done.")]), guardrails=[guard("input")])
    handle = runtime.start(agent, "A long prompt.")
    runtime.reject(asked(runtime, handle).id, "not today", by="ann")
    with pytest.raises(GuardrailError):
        handle.result(60)

    text, found = inspected(runtime, handle)
    assert re.search(rf"\n  \? A person decides about the prompt.*\n    ! rejected by ann: not today, {AT}\n", text)
    assert (found["steps"], [each["decision"]["reason"] for each in found["requests"]]) == ([], ["not today"])


def test_the_timeline_tells_of_budgets(runtime: AgentRuntime, model: Stage) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", number=request.turn) if request.turn < 3 else say("Done.")

    budget = Budget(calls=1)
    agent = Agent("told_budget", model=model.play(reply), model_place="worker", tools=[look], budget=budget)
    handle = runtime.start(agent, "Go.")
    first = asked(runtime, handle)
    text, found = inspected(runtime, handle)
    assert "  ? The budget is used up: 1 of 1 calls of tools.\n    ? waits for a person" in text
    assert [each["id"] for each in found["requests"]] == [first.id]
    handle.extend(calls=1, by="ann")
    wait_until(lambda: [each.id for each in runtime.requests(run=handle.execution_id)] not in ([], [first.id]), "more")
    runtime.reject(asked(runtime, handle).id, "enough", by="bob")
    with pytest.raises(ExecutionFailed):
        handle.result(60)

    text, found = inspected(runtime, handle)
    assert re.search(rf"! extended with 1 call of a tool more by ann, {AT}\n", text)
    assert re.search(rf"! rejected by bob: enough, {AT}\n", text)
    assert [each["step"] for each in found["steps"] if "requests" in each] == [2]
    assert [each["decision"]["by"] for each in found["requests"]] == ["bob"]

    within = Team("told_crew", agents=[agent, Agent("told_last", model=agent.model)], strategy="sequential")
    handle = runtime.start(within, "Go.")
    request = asked(runtime, handle)
    text, found = inspected(runtime, handle)
    assert [each["id"] for each in found["requests"]] == [request.id]
    handle.cancel()
