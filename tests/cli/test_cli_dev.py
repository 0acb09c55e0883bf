"""`agentspan dev`: a server, a worker and a reload, in one process; and completions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from agentspan.agents import AgentRuntime
from agentspan.cli import main
from agentspan.cli._load import load_agent
from agentspan.server import LocalServer
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

APP = """
from agentspan.agents import Agent, tool

@tool
def version() -> str:
    "The version of this code."
    return "{version}"

agent = Agent("developed", model="{model}", tools=[version])
"""


@pytest.mark.server
@pytest.mark.timeout(400)
def test_a_saved_file_is_served_at_once_and_ctrl_c_stops_everything(
    tmp_path: Path, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, data = tmp_path / "code", tmp_path / "data"
    code.mkdir()
    name = model.play([call("version"), say("done")])
    app = code / "dev_app.py"
    app.write_text(APP.format(version="one", model=name))
    agent = load_agent(f"{app}:agent")
    urls = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.server.openai_url}
    without = ("AGENTSPAN_SERVER_URL", "CONDUCTOR_SERVER_URL")
    environ = {**{key: value for key, value in os.environ.items() if key not in without}, **urls}
    command = [sys.executable, "-m", "agentspan", "dev", "dev_app.py", "--port", "0", "--data-dir", str(data)]
    said = tmp_path / "said"

    def results() -> list[object]:
        runtime.start(agent, "Go.", serve=False).result(timeout=90)
        return [result.output for result in model.requests(name)[-1].tool_results]

    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=code, env=environ, stdin=subprocess.DEVNULL, stderr=output)
    try:
        wait_until(lambda: said.read_text().count("Serving developed") == 1, "the worker", timeout=180)
        (url,) = re.findall(r"^Server   (\S+), ", said.read_text(), re.MULTILINE)
        with AgentRuntime(url) as runtime:
            assert results() == [{"result": "one"}]

            app.write_text(APP.format(version="two", model=name))
            wait_until(lambda: said.read_text().count("Serving developed") == 2, "the new worker", timeout=90)
            assert "Saved    dev_app.py\n" in said.read_text()
            assert results() == [{"result": "two"}]

            app.write_text("this is no Python")
            wait_until(lambda: "The worker has ended" in said.read_text(), "the fault to be told", timeout=90)
            assert "SyntaxError" in said.read_text()
            app.write_text(APP.format(version="three", model=name))
            wait_until(lambda: said.read_text().count("Serving developed") == 3, "the repaired worker", timeout=90)
            assert results() == [{"result": "three"}]
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=90) == 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=90)
    assert "Traceback" not in said.read_text()
    assert LocalServer(data).status() is None
    assert len(children) >= 1
    wait_until(lambda: not any(child.is_running() for child in children), "its children to be gone")


def test_dev_of_nothing_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["dev"])

    assert result.exit_code == 2
    assert "Missing argument 'MODULE:AGENT...'" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_a_completion_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])

    assert result.exit_code == 0
    assert f"_AGENTSPAN_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("agentspan ag", {"agent"}),
        ("agentspan agent in", {"inspect"}),
        ("agentspan agent list --st", {"--status"}),
        ("agentspan agent list --status pa", {"paused"}),
        ("agentspan worker ", {"check", "list", "serve", "start"}),
    ],
)
def test_what_a_shell_gets_to_complete(typed: str, completed: set[str]) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_AGENTSPAN_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", "from agentspan.cli import main; main(prog_name='agentspan')"],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )

    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completed
    assert done.stderr == ""
