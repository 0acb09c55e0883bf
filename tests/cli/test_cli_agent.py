"""`agentspan agent` and `agentspan worker`, as processes, on a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import AgentHandle, AgentRuntime
from agentspan.cli import main
from agentspan.testing import call, fail, say, stream
from agentspan.testing.plugin import Stage

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

APP = """
import time
from pathlib import Path
from agentspan.agents import Agent, Retry, tool

@tool
def double(number: int) -> int:
    "Double a number."
    print("a tool may print")
    return 2 * number

@tool
def wait() -> str:
    "Wait until somebody allows to go on."
    Path("waiting").touch()
    while not Path("go-on").exists():
        time.sleep(0.05)
    return "waited"

agent = Agent("{name}", model="{model}", tools=[double, wait], max_turns=3000, model_retry=Retry(1))
"""

STATUS = re.compile(r"[A-Z_]+  step \d+ / \d+  elapsed (\d+h)?(\d+m)?\d+s")


class Cli:
    """The command line in a folder with `app.py`, whose agent is `name`."""

    def __init__(self, folder: Path, url: str, name: str) -> None:
        self.folder, self.url, self.name = folder, url, name

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agentspan", "--server", self.url, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, text=True, stdout=pipe, stderr=pipe, **options)

    def process(self, *arguments: str, code: int = 0, stdin: str | None = None) -> tuple[str, str]:
        """In a process of its own, as users run it."""
        process = self.popen(*arguments, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=90)
        assert process.returncode == code, err
        assert "Traceback" not in err
        return out, err

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """In this process, which is quicker."""
        result = CliRunner().invoke(main, ["--server", self.url, *arguments])
        assert result.exit_code == code, result.stderr
        return result.stdout, result.stderr

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "-o", "json", code=code)[0])

    def start(self) -> str:
        """Start a run; its id."""
        execution_id: str = self.json("agent", "start", "app", "Do it.")["execution_id"]
        return execution_id


@pytest.fixture
def app(
    tmp_path: Path,
    conductor_url: str,
    model: Stage,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Cli]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    name = re.sub(r"\W", "_", request.node.name)[:90]

    def make(*script: Any) -> Cli:
        (tmp_path / "app.py").write_text(APP.format(name=name, model=model.play(script)))
        return Cli(tmp_path, conductor_url, name)

    return make


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} has not appeared"
        time.sleep(0.05)


def test_run_prints_the_answer_and_tells_the_rest_on_stderr(app: Callable[..., Cli]) -> None:
    cli = app(call("double", number=4), say("8 it is"))

    out, err = cli.process("agent", "run", "app:agent", "Double 4.")

    assert out == "8 it is\n"
    lines = err.splitlines()
    assert re.fullmatch(r"STARTED  execution_id=[\w-]+", lines[0])
    assert "  → double(number=4)" in lines
    assert "a tool may print" in lines
    assert "  ← double: 8" in lines
    assert lines[-1] == "done"


def test_run_as_json_and_as_lines_with_the_prompt_from_stdin(app: Callable[..., Cli], model: Stage) -> None:
    cli = app(call("double", number=4), say("8 it is"))

    result = json.loads(cli.process("agent", "run", "app", "-", "-o", "json", stdin="Double\nfour.\n")[0])
    lines = cli.process("agent", "run", "app", "Double 4.", "-o", "jsonl")[0].splitlines()

    assert (result["output"], result["steps"], result["status"]) == ("8 it is", 2, "COMPLETED")
    assert "Double\nfour." in {request.prompt for request in model.server.requests}
    assert [json.loads(line)["type"] for line in lines] == ["step", "tool_call", "tool_result", "step", "done"]


def test_a_run_that_fails(app: Callable[..., Cli]) -> None:
    cli = app(fail(400, "no such model"))

    out, err = cli.process("agent", "run", "app", "Double 4.", "-o", "json", code=3)
    status = json.loads(out)
    assert status["status"] == "FAILED"
    assert "no such model" in status["error"]
    assert "no such model" in err
    execution_id = status["execution_id"]
    assert "no such model" in cli("agent", "status", execution_id)[0]
    cli("agent", "status", execution_id, "--exit-status", code=3)
    cli("agent", "stream", execution_id, code=3)
    assert cli.json("agent", "result", execution_id, code=3)["status"] == "FAILED"


def test_start_status_worker_stream_result(app: Callable[..., Cli]) -> None:
    cli = app(call("wait"), say("waited long"))

    out, err = cli("agent", "start", "app:agent", "Wait.")
    started = re.fullmatch(r"STARTED  execution_id=([\w-]+)\n", out)
    assert started
    execution_id = started[1]
    assert "agentspan worker start app:agent" in err

    worker = cli.popen("worker", "start", "app:agent")
    try:
        wait_for(cli.folder / "waiting")
        first, *more = cli("agent", "status", execution_id)[0].splitlines()
        assert STATUS.fullmatch(first)
        assert first.startswith("RUNNING  step 1 / 3000  elapsed ")
        assert "  doing    wait" in more
        assert "was not over" in cli("agent", "result", execution_id, code=1)[1]
        (cli.folder / "go-on").touch()
        assert cli("agent", "result", execution_id, "--timeout", "60")[0] == "waited long\n"
    finally:
        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert err.startswith(f"Serving {cli.name} on {cli.url}")
    assert err.endswith("Stopped.\n")

    assert cli("agent", "status", execution_id)[0].startswith("COMPLETED  step 2 / 3000  elapsed ")
    assert cli.json("agent", "status", execution_id)["output"] == "waited long"
    events = cli.json("agent", "stream", execution_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert cli.json("agent", "stream", execution_id, "--from", "3") == events[3:]
    assert cli("agent", "stream", execution_id)[0].endswith("done\nwaited long\n")


def test_the_schema_of_a_start(app: Callable[..., Cli]) -> None:
    cli = app(say("8"))

    for form in ("json", "jsonl"):
        started = json.loads(cli("agent", "start", "app", "Do it.", "-o", form)[0])
        assert list(started) == ["execution_id", "agent", "status"]
        assert (started["agent"], started["status"]) == (cli.name, "RUNNING")
        assert cli.json("agent", "result", started["execution_id"], "--wait")["output"] == "8"


def test_what_a_run_is_given_beside_its_prompt(app: Callable[..., Cli]) -> None:
    cli = app(say("8"))

    started = cli.json("agent", "start", "app", "Do it.", "--context", '{"city": "Rome"}')["execution_id"]
    assert AgentRuntime(cli.url).client.workflow(started).input["context"] == {"city": "Rome"}
    for wrong in ("Rome", '["Rome"]', "{"):
        _, said = cli("agent", "start", "app", "Do it.", "--context", wrong, code=2)
        assert "Invalid value for '--context': is no JSON object" in said


def test_ctrl_c_detaches_and_never_cancels(app: Callable[..., Cli]) -> None:
    cli = app(call("wait"), say("waited long"))
    process = cli.popen("agent", "run", "app:agent", "Wait.")
    wait_for(cli.folder / "waiting")
    assert process.stderr is not None
    # Until the call is shown, modules are imported; an interrupt that passes through the `exec` by which a dataclass
    # is made counts for CPython as one that nobody caught: then the command ends by the signal, not with 130.
    while "wait(" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert out == ""
    assert "The run is not cancelled" in err
    (execution_id,) = re.findall(r"agentspan agent status (\S+)", err)
    assert "agentspan worker start app:agent" in err
    (cli.folder / "go-on").touch()
    with AgentRuntime(cli.url) as runtime:
        assert AgentHandle(execution_id, runtime).get_status().status == "RUNNING"
    worker = cli.popen("worker", "start", "app.py")
    try:
        assert cli("agent", "result", execution_id, "--wait")[0] == "waited long\n"
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_list_shows_runs_of_agents_only(app: Callable[..., Cli], runtime: AgentRuntime) -> None:
    cli = app(say("8"))
    ids = [cli.start() for _ in range(3)]
    for execution_id in ids:
        AgentHandle(execution_id, runtime).result(60)

    heading, *rows = cli("agent", "list", "--agent", cli.name)[0].splitlines()
    assert heading.split() == ["ID", "AGENT", "STATUS", "WAITS", "FOR", "STARTED", "DURATION", "TOKENS", "COST"]
    assert [row.split()[:3] for row in rows] == [[each, cli.name, "COMPLETED"] for each in reversed(ids)]
    listed = cli.json("agent", "list", "--agent", cli.name, "--status", "completed", "--limit", "2")
    assert [run["execution_id"] for run in listed] == ids[:0:-1]
    assert not any("." in run["agent"] for run in cli.json("agent", "list", "--limit", "50"))
    out, err = cli("agent", "list", "--agent", cli.name, "--status", "FAILED")
    assert (out, err) == ("", "There are no such runs.\n")


def test_the_beginning_of_an_id_is_enough(app: Callable[..., Cli], runtime: AgentRuntime) -> None:
    cli = app(say("8"))
    execution_id = cli.start()
    AgentHandle(execution_id, runtime).result(60)

    assert cli.json("agent", "status", execution_id[:13])["execution_id"] == execution_id
    segment = runtime.client.search(f'parentWorkflowId="{execution_id}"')[0].workflow_id
    assert cli.json("agent", "status", segment)["execution_id"] == execution_id


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("00000000-nobody", 1, "has no execution '00000000-nobody'"),
        ("no id*", 2, "'no id*' is not an execution id"),
    ],
)
def test_an_id_that_leads_nowhere(app: Callable[..., Cli], given: str, code: int, message: str) -> None:
    cli = app(say("never"))
    for verb in ("status", "stream", "result"):
        out, err = cli("agent", verb, given, code=code)
        assert out == ""
        assert message in err


def test_on_a_terminal_a_run_shows_what_the_model_says_while_it_says_it(
    runtime: AgentRuntime, model: Stage, tmp_path: Path
) -> None:
    name = model.play([stream("Hear\x1b[2J", 0.4, " me.")])
    (tmp_path / "talker.py").write_text(
        "from agentspan.agents import Agent, ModelSettings\n"
        f"settings = ModelSettings(base_url={model.server.openai_url!r})\n"
        f"agent = Agent('talks_here', model={name!r}, model_place='worker', model_settings=settings)\n"
    )
    words = ["--server", runtime.settings.server_url, "agent", "run", "talker.py", "Speak."]
    reader, writer = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "agentspan", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=writer
    )
    os.close(writer)
    shown = os.read(reader, 65536).decode()
    os.close(reader)

    assert done.returncode == 0, shown
    assert done.stdout.decode() == "Hear\x1b[2J me.\n"  # no terminal: as it is
    assert "  … Hear\\x1b[2J me.\r\n" in shown
