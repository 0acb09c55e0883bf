"""`agentspan request`: the inbox on a command line."""

from __future__ import annotations

import json
import re
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
    agent = Agent("cli_purse", model=model.play([turn, say("Done.")]), tools=[pay, ask], model_place="worker")
    handle = runtime.start(agent, "Pay.")
    wait_until(lambda: len(handle.requests()) == 3, "three requests")
    one, two, question = handle.requests()

    listed = run(runtime, "request", "list", "--agent", "cli_purse", "--run", handle.execution_id)
    assert one.id in listed
    assert "pay?" in listed
    assert "in 59m" in listed or "in 1h" in listed
    assert "3 requests wait." in listed
    found = json.loads(run(runtime, "request", "list", "--run", handle.execution_id, "-o", "json"))
    assert [each["id"] for each in found] == [one.id, two.id, question.id]
    shown = run(runtime, "request", "show", one.id[:13])  # the beginning of an id is enough
    assert '"amount"' in shown
    assert f"request approve {one.id}" in shown
    assert '  fits      {"enum": ["yes", "no"], "type": "string"}' in run(runtime, "request", "show", question.id)
    assert "? waits for a person for " in run(runtime, "agent", "inspect", handle.execution_id)
    status = run(runtime, "agent", "status", handle.execution_id, "--exit-status", code=8)
    assert "  waits    for a person, since " in status
    assert f": approval of cli_purse, pay, agentspan request show {one.id}\n" in status
    assert f" request answer {question.id} ANSWER" in run(runtime, "agent", "why", handle.execution_id)
    assert f"request approve {one.id}" in run(runtime, "agent", "why", handle.execution_id)

    refused = run(runtime, "request", "approve", one.id, "--args", '{"amount": "x"}', code=2)
    assert "amount" in refused
    assert f"`agentspan request show {one.id}` prints what fits." in refused
    assert "is an approval" in run(runtime, "request", "answer", one.id, "yes", code=2)
    assert "no JSON object" in run(runtime, "request", "approve", one.id, "--args", "5", code=2)
    assert "is approved" in run(runtime, "request", "approve", one.id, "--args", '{"amount": 5}', "--by", "ann")
    assert "already, by ann" in run(runtime, "request", "reject", one.id, code=1)
    assert json.loads(run(runtime, "request", "reject", two.id, "--reason", "no", "-o", "json"))["status"] == "decided"
    assert "Not taken: the answer: " in run(runtime, "request", "answer", question.id, "perhaps", code=2)
    assert "is answered" in run(runtime, "request", "answer", question.id, "yes", "--by", "eve")
    assert handle.result(timeout=60).output == "Done."
    assert 'approved with {"amount": 5} by ann' in run(runtime, "request", "show", one.id)
    unknown = run(runtime, "request", "show", "nothing", code=1)
    assert "has no request 'nothing'" in unknown
    assert "agentspan request list" in unknown
    timeline = run(runtime, "agent", "inspect", handle.execution_id)
    at = r", \d\d:\d\d:\d\d UTC"
    assert re.search(rf'    ! approved with {{"amount": 5}} by ann{at}\n    ← "paid 5"', timeline)
    assert "    ! rejected by" in timeline
    assert re.search(rf'    ! answered with "yes" by eve{at}\n    ← "yes"', timeline)
    shown = run(runtime, "agent", "stream", handle.execution_id)
    assert "pay: approved, with amount=5 by ann" in shown
    assert "ask_boss: answered by eve" in shown
