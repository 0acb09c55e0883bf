"""Commands and code that a model runs, on a real server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, ProcessLimits, cli_tool, code_tool
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands are run on Linux and macOS")


def test_a_model_runs_commands_and_code(runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_TOKEN", "t0ken-of-the-worker")
    tools = [
        cli_tool(["echo", "env"], credentials=["RELEASE_TOKEN"]),
        code_tool(limits=ProcessLimits(network=True)),
    ]
    name = model.play(
        [
            calls(
                call("run_command", command="echo", args=["$HOME; ls"]),
                call("run_command", command="env"),
                call("run_command", command="rm", args=["-rf", "/"]),
                call("run_code", code='[print(n * n) for n in range(3)]\nraise SystemExit("enough")'),
            ),
            call("run_code", code='{"a": 1}'),
            say("done"),
        ]
    )

    handle = runtime.start(Agent("operator", model=name, tools=tools), "Go.")
    assert handle.result(timeout=90).output == "done"

    echo, environment, refused, code = (result.output for result in model.requests(name)[1].tool_results)
    assert echo == {"result": {"exit_code": 0, "stdout": "$HOME; ls\n", "stderr": ""}}
    assert "RELEASE_TOKEN=***" in environment["result"]["stdout"]
    assert "command: Input should be 'echo' or 'env'" in refused["error"]
    assert code == {"result": {"exit_code": 1, "stdout": "0\n1\n4\n", "stderr": "enough\n"}}
    assert "t0ken" not in repr([list(handle.stream()), handle.steps()])


def test_cancelling_a_run_ends_its_command(runtime: AgentRuntime, model: Stage, tmp_path: Path) -> None:
    tool = cli_tool(["bash -c"], folder=str(tmp_path), limits=ProcessLimits(time=600))
    name = model.play([call("run_command", command="bash -c", args=["echo $$ > pid; sleep 600"]), say("done")])
    handle = runtime.start(Agent("sleeper", model=name, tools=[tool]), "Go.")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "the command")

    handle.cancel()

    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid), "the end of the command", 30)


def is_alive(pid: int) -> Any:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
