"""`agentspan request`: the inbox on a command line."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from click.testing import CliRunner

from agentspan.agents import Agent, AgentRuntime, Approval, human_tool, tool
from agentspan.cli import main
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.usefixtures("scripted_openai")


def run(runtime: AgentRuntime, *words: str, code: int = 0) -> str:
    found = CliRunner().invoke(main, ["--server", runtime.settings.server_url, *words])
    assert found.exit_code == code, found.output
    return found.output


def test_the_inbox(runtime: AgentRuntime, model: Stage) -> None:
    @tool(approval=Approval(deadline=3600))
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    ask = human_tool("ask_boss", "Ask the boss.", answer=Literal["yes", "no"])
    turn = calls(call("pay", amount=1), call("pay", amount=2), call("ask_boss", question="Sure?"))
    agent = Agent("purse", model=model.play([turn, say("Done.")]), tools=[pay, ask], model_place="worker")
    handle = runtime.start(agent, "Pay.")
    wait_until(lambda: len(handle.requests()) == 3, "three requests")
    one, two, question = handle.requests()

    listed = run(runtime, "request", "list", "--agent", "purse", "--run", handle.execution_id)
    assert one.id in listed
    assert "pay?" in listed
    assert "in 59m" in listed or "in 1h" in listed
    assert "3 requests wait." in listed
    found = json.loads(run(runtime, "request", "list", "--run", handle.execution_id, "-o", "json"))["requests"]
    assert [each["id"] for each in found] == [one.id, two.id, question.id]
    assert '"amount"' in run(runtime, "request", "show", one.id)
    status = run(runtime, "agent", "status", handle.execution_id, "--exit-status", code=8)
    assert "  waits    for a person, since " in status
    assert f": approval of purse, agentspan request show {one.id}\n" in status
    assert f" request answer {question.id} ANSWER" in run(runtime, "agent", "why", handle.execution_id)
    assert f"request approve {one.id}" in run(runtime, "agent", "why", handle.execution_id)

    assert "amount" in run(runtime, "request", "approve", one.id, "--args", '{"amount": "x"}', code=2)
    assert "no JSON object" in run(runtime, "request", "approve", one.id, "--args", "5", code=2)
    assert "is approved" in run(runtime, "request", "approve", one.id, "--args", '{"amount": 5}', "--by", "ann")
    assert "already, by ann" in run(runtime, "request", "reject", one.id, code=1)
    assert json.loads(run(runtime, "request", "reject", two.id, "--reason", "no", "-o", "json"))["status"] == "decided"
    assert "Not taken" in run(runtime, "request", "answer", question.id, "perhaps", code=2)
    assert "is answered" in run(runtime, "request", "answer", question.id, "yes", "--by", "eve")
    assert handle.result(timeout=60).output == "Done."
    assert "approved, with other arguments by ann" in run(runtime, "request", "show", one.id)
    assert "no execution" in run(runtime, "request", "show", "nothing", code=1)
    shown = run(runtime, "agent", "stream", handle.execution_id)
    assert "approved by ann" in shown
    assert "ask_boss: approved by eve" in shown
