"""`agentspan agent pause|resume|cancel|retry` on a run of the real server."""

from __future__ import annotations

import json
import threading

import pytest
from click.testing import CliRunner, Result

from agentspan.agents import Agent, AgentRuntime, tool
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, fail, say, wait_until
from agentspan.testing.plugin import Stage


def agentspan(runtime: AgentRuntime, *words: str) -> Result:
    return CliRunner().invoke(main, ["--server", runtime.settings.server_url, "agent", *words])


def test_pause_resume_cancel(runtime: AgentRuntime, model: Stage) -> None:
    go_on = threading.Event()

    @tool
    def gate() -> str:
        """Wait."""
        go_on.wait(60)
        return "open"

    handle = runtime.start(Agent("gated", model=model.play([call("gate"), call("gate")]), tools=[gate]), "Go.")
    run = handle.execution_id
    wait_until(lambda: handle.get_status().current_task == "gate", "the tool to run")

    paused = agentspan(runtime, "pause", run)
    assert (paused.exit_code, paused.output) == (0, f"PAUSED  execution_id={run}\n")
    assert agentspan(runtime, "status", run, "--exit-status").exit_code == 8
    assert agentspan(runtime, "pause", run).exit_code == 1
    resumed = agentspan(runtime, "resume", run, "-o", "json")
    assert json.loads(resumed.output) == {"execution_id": run, "done": "resumed"}
    assert agentspan(runtime, "cancel", run, "--reason", "enough").exit_code == 0
    go_on.set()

    ended = agentspan(runtime, "result", run, "--wait")
    assert ended.exit_code == 3
    assert "enough" in ended.output
    again = agentspan(runtime, "cancel", run)
    assert again.exit_code == 1
    assert "TERMINATED" in again.output
    assert "Traceback" not in again.output


@pytest.mark.parametrize("tries", [1, 2])
def test_retry(runtime: AgentRuntime, model: Stage, tries: int) -> None:
    refusing = [True]

    def reply(request: ModelRequest) -> Reply:
        return fail(401, "no such key") if refusing[0] else say("fine")

    handle = runtime.start(Agent("retried", model=model.play(reply)), "Go.")
    for number in range(tries):
        failed = agentspan(runtime, "result", handle.execution_id, "--wait")
        assert failed.exit_code == 3
        assert "no such key" in failed.output
        refusing[0] = number < tries - 1
        assert agentspan(runtime, "retry", handle.execution_id).exit_code == 0

    assert handle.result(timeout=60).output == "fine"
