"""`agentspan agent effects|answer|skip|again`, and pausing all runs of an agent, on the real server."""

from __future__ import annotations

import json
import threading

import pytest
from click.testing import CliRunner, Result

from agentspan.agents import Agent, AgentRuntime, ToolContext, tool
from agentspan.cli import main
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage


def agentspan(runtime: AgentRuntime, *words: str) -> Result:
    return CliRunner().invoke(main, ["--server", runtime.settings.server_url, "agent", *words])


@tool(external=True)
def pay(amount: int) -> str:
    """Pay, in a worker elsewhere."""
    return ""


def test_answer_and_skip(runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    name = model.play([calls(*[call("pay", amount=n) for n in range(3)]), say("done")])
    handle = runtime.start(Agent("cashdesk", model=name, tools=[pay]), "Go.")
    run = handle.execution_id
    wait_until(lambda: handle.get_status().current_task == "pay", "the calls")
    first, second, _ = [each.call_id for each in handle.steps()[0].calls]

    several = agentspan(runtime, "answer", run, "pay", "1")
    assert several.exit_code == 2
    assert f"Open are {first} (pay)" in several.output
    assert "VALUE is no JSON" in agentspan(runtime, "answer", run, first, "paid").output
    answered = agentspan(runtime, "answer", run, first, "paid", "--text")
    assert (answered.exit_code, answered.output) == (0, f"ANSWERED  execution_id={run}  call={first}\n")
    assert agentspan(runtime, "answer", run, first, "1").exit_code == 1
    skipped = agentspan(runtime, "skip", run, second, "--reason", "no money", "--by", "bob", "-o", "json")
    assert json.loads(skipped.output) == {"execution_id": run, "call": second, "done": "skipped"}
    assert agentspan(runtime, "answer", run, "pay", '{"cents": 5}').exit_code == 0

    assert handle.result(timeout=60).output == "done"
    told = [result.output for result in model.requests(name)[-1].tool_results]
    assert told == [{"result": "paid"}, {"error": "The call was skipped: no money"}, {"result": {"cents": 5}}]
    assert [each.attempts[-1].worker for each in handle.steps()[0].calls] == ["person ann", "person bob", "person ann"]
    none = agentspan(runtime, "effects", run)
    assert (none.exit_code, none.output) == (0, "No call may have had an effect.\n")


def test_again_and_effects(runtime: AgentRuntime, model: Stage) -> None:
    tries: list[str] = []

    @tool
    def hang(context: ToolContext) -> str:
        """Hang at first."""
        tries.append(context.idempotency_key)
        wait_until(lambda: len(tries) > 1, "another try")
        return "there"

    @tool
    def quick() -> str:
        """Return."""
        return "quick"

    name = model.play([call("quick"), call("hang"), say("done")])
    handle = runtime.start(Agent("hanger", model=name, tools=[hang, quick]), "Go.")
    wait_until(lambda: tries, "the first try")

    assert agentspan(runtime, "again", handle.execution_id, "hang", "--by", "ann").output.startswith("TRIED AGAIN")
    handle.result(timeout=60)

    shown = agentspan(runtime, "effects", handle.execution_id).output.splitlines()
    assert shown[0].split() == ["STEP", "TOOL", "STATE", "TRIES", "KEY"]
    assert shown[1].split()[:4] == ["1", "quick", "done", "1"]
    step, name, state, times, key = shown[2].split()
    assert (step, name, state, key) == ("2", "hang", "done", tries[0])
    assert int(times) >= 2, "more of them where the machine is so busy that a lease ends"
    assert [line.split()[:3] for line in shown[3:]].count(["cut", "off", "on"]) == len(shown) - 3
    assert any(line.endswith("ann had it tried again.") for line in shown)
    doubtful = json.loads(agentspan(runtime, "effects", handle.execution_id, "--doubtful", "-o", "json").output)
    assert [(each["tool"], each["repeated"], each["interventions"][0]["by"]) for each in doubtful] == [
        ("hang", True, "ann")
    ]


def test_all_runs_of_an_agent_are_paused_and_resumed(runtime: AgentRuntime, model: Stage) -> None:
    go_on = threading.Event()

    @tool
    def gate() -> str:
        """Wait."""
        go_on.wait(60)
        return "open"

    agent = Agent(
        "fleet", model=model.play(lambda request: call("gate") if request.turn == 0 else say("done")), tools=[gate]
    )
    other = Agent("fleet_other", model=agent.model, tools=[gate])
    handles = [runtime.start(agent, "Go.") for _ in range(3)]
    bystander = runtime.start(other, "Go.")
    for handle in (*handles, bystander):
        wait_until(lambda handle=handle: handle.get_status().current_task == "gate", "the tool to run")

    paused = agentspan(runtime, "pause", "--agent", "fleet", "-o", "json")
    assert {each["execution_id"] for each in json.loads(paused.output)} == {each.execution_id for each in handles}
    assert {each.get_status().status for each in handles} == {"PAUSED"}
    assert bystander.get_status().status == "RUNNING"
    go_on.set()
    assert bystander.result(timeout=60).output == "done"
    resumed = agentspan(runtime, "resume", "--agent", "fleet")
    assert resumed.output.count("RESUMED  execution_id=") == 3
    assert [each.result(timeout=60).output for each in handles] == ["done"] * 3
    assert agentspan(runtime, "pause", "--agent", "fleet").output == "No run of fleet is there to be paused.\n"
    assert agentspan(runtime, "pause").exit_code == 2
    assert agentspan(runtime, "resume", "x", "--agent", "fleet").exit_code == 2
