"""Commands and code of a model, in processes of their own: what they may, and what becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    CliConfig,
    CodeExecutionConfig,
    Container,
    DefinitionError,
    ProcessLimits,
    ToolContext,
    ToolFailed,
    cli_tool,
    code_tool,
)
from agentspan.declare.credentials import Credentials
from agentspan.sandbox.process import Command, _in_container, run
from agentspan.schema.arguments import ArgumentError
from agentspan.testing import wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands are run on Linux and macOS")

shell = cli_tool(["bash -c", "echo", "cat", "no-such-program"])
code = code_tool(["python", "bash"])
ANYWHERE = ProcessLimits(network=True)


def context_of(**values: Any) -> ToolContext:
    return ToolContext(
        **{
            "idempotency_key": "k",
            "execution_id": "run",
            "agent": "a",
            "tool": "t",
            "call_id": "c",
            "step": 1,
            **values,
        }
    )


def can_go_apart() -> bool:
    """Whether this machine lets a process keep another one from the network."""
    try:
        return code("print(1)")["exit_code"] == 0
    except ToolFailed:
        return False


apart = pytest.mark.skipif(not can_go_apart(), reason="no process can be kept from the network here")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_command_gets_its_arguments_as_they_are() -> None:
    told = shell("echo", ["$HOME", "*", "a b; ls", "|"], stdin="unread")

    assert told == {"exit_code": 0, "stdout": "$HOME * a b; ls |\n", "stderr": ""}
    assert shell("cat", stdin="ü\n")["stdout"] == "ü\n"
    assert shell("bash -c", ["echo no >&2; exit 7"]) == {"exit_code": 7, "stdout": "", "stderr": "no\n"}


def test_a_model_sees_which_commands_there_are_and_can_call_no_others() -> None:
    assert shell.parameters["properties"]["command"]["enum"] == ["bash -c", "echo", "cat", "no-such-program"]
    assert shell.parameters["required"] == ["command"]
    for other in ("ls", "bash", "/bin/echo", "echo a"):
        with pytest.raises(ArgumentError, match="command"):
            shell.invoke({"command": other}, context_of())
    assert "language" not in code.parameters["required"]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolFailed, match="There is no program no-such-program where the worker runs"):
        shell("no-such-program")


def test_nothing_of_the_workers_environment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    tool = cli_tool(["env"], environment={"LEVEL": "3"}, credentials=["TOKEN"])

    told = tool.invoke({"command": "env"}, context_of(credentials=Credentials({"TOKEN": "t0ken"})))

    names = {line.partition("=")[0] for line in told["stdout"].splitlines()}
    assert names == {"PATH", "HOME", "TMPDIR", "LANG", "LEVEL", "TOKEN"}
    assert "TOKEN=t0ken" in told["stdout"]


def test_no_secret_stands_in_an_argument(tmp_path: Path) -> None:
    """Others on the machine can read arguments of processes."""
    tool = cli_tool(["bash -c"], credentials=["TOKEN"])
    arguments = "cat /proc/$PPID/cmdline /proc/$$/cmdline | tr '\\0' ' '"

    told = tool.invoke(
        {"command": "bash -c", "args": [arguments]}, context_of(credentials=Credentials({"TOKEN": "t0ken"}))
    )

    assert "_launch.py" in told["stdout"]
    assert "t0ken" not in told["stdout"]


def test_each_call_has_a_folder_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    told = shell("bash -c", ["pwd; echo $HOME; echo x > file; ls -A"])
    first, home, left = told["stdout"].splitlines()

    assert first == home
    assert left == "file"
    assert not Path(first).exists()
    kept = cli_tool(["bash -c"], folder=str(tmp_path))
    kept("bash -c", ["echo x > file"])
    assert (tmp_path / "file").read_text() == "x\n"
    with pytest.raises(ToolFailed, match="There is no folder /no/such where the worker runs"):
        cli_tool(["ls"], folder="/no/such")("ls")


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    tool = cli_tool(["bash -c"], folder=str(tmp_path), limits=ProcessLimits(time=1))

    told = tool("bash -c", ["echo begun; sleep 1000 & echo $! > pid; wait"])

    assert told == {"exit_code": 137, "stdout": "begun\n", "stderr": "", "stopped": "stopped after 1 s"}
    wait_until(lambda: is_gone(int((tmp_path / "pid").read_text())), "the end of what the command had started")


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    tool = cli_tool(["bash -c"], folder=str(tmp_path))

    begun = time.monotonic()
    assert tool("bash -c", ["sleep 1000 & echo $! > pid"])["exit_code"] == 0

    assert time.monotonic() - begun < 10
    wait_until(lambda: is_gone(int((tmp_path / "pid").read_text())), "the end of what the command left")


def test_a_command_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    tool = cli_tool(["bash -c"], folder=str(tmp_path))
    cancelled = threading.Event()
    told: list[dict[str, Any]] = []
    arguments = {"command": "bash -c", "args": ["echo $$ > pid; sleep 1000"]}
    call = threading.Thread(
        target=lambda: told.append(tool.invoke(arguments, context_of(check_cancelled=cancelled.is_set)))
    )
    call.start()
    wait_until(lambda: (tmp_path / "pid").exists(), "the command")

    cancelled.set()
    call.join(10)

    assert told[0]["stopped"] == "stopped, because nobody waits for it any more"


def test_a_command_dies_with_its_worker(tmp_path: Path) -> None:
    program = f"""
        from agentspan.agents import cli_tool
        tool = cli_tool(["bash -c"], folder={str(tmp_path)!r})
        tool("bash -c", ["sleep 1000 & echo $$ $! > pids; wait"])
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as worker:
        wait_until(lambda: len(read(tmp_path / "pids").split()) == 2, "the command")
        worker.send_signal(signal.SIGKILL)

    for pid in read(tmp_path / "pids").split():
        wait_until(lambda pid=pid: is_gone(int(pid)), "the end of the command")


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_long_output_is_cut_in_its_middle() -> None:
    tool = cli_tool(["bash -c"], limits=ProcessLimits(output=100))

    told = tool("bash -c", ["printf begin; printf 'x%.0s' {1..5000}; printf end; printf 'a\\0b' >&2"])

    assert told["stdout"].startswith("beginxxx")
    assert told["stdout"].endswith("xxxend")
    assert "(4,908 bytes left out)" in told["stdout"]
    assert told["stderr"] == "a\\x00b"


def test_limits_hold() -> None:
    tool = code_tool(["python"], limits=ProcessLimits(memory=500, file_size=1, network=True))

    assert "MemoryError" in tool("x = 'a' * 10**9")["stderr"]
    assert "File too large" in tool("open('big', 'wb').write(b'x' * (2 << 20))")["stderr"]


@apart
def test_code_has_no_network_and_cannot_reach_the_worker() -> None:
    program = f"""
        import os, socket
        for attempt in (
            lambda: socket.create_connection(("127.0.0.1", 22), timeout=5),
            lambda: open("/proc/{os.getpid()}/environ").read(),
            lambda: os.kill({os.getpid()}, 0),
        ):
            try:
                attempt()
                print("reached")
            except OSError as error:
                print(error.strerror)
    """

    told = code(textwrap.dedent(program))

    assert told["stdout"].splitlines() == ["Network is unreachable", "Permission denied", "No such process"]


@apart
def test_code_in_another_language() -> None:
    assert code("echo $((6 * 7)); exit 3", "bash") == {"exit_code": 3, "stdout": "42\n", "stderr": ""}
    assert code("import sys; print(6 * 7); sys.exit('no')") == {"exit_code": 1, "stdout": "42\n", "stderr": "no\n"}


def test_a_container_gets_what_is_named_and_no_value_stands_in_its_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    command = Command(
        words=("python3", "-I"),
        script=("main.py", "print(1)"),
        environment={"TOKEN": "t0ken"},
        limits=ProcessLimits(memory=100, network=False),
    )

    words, ending = _in_container(command, Container(image="python:3.13-slim", cpus=1), "/home/x")

    joined = " ".join(words)
    assert words[-4:] == ["python:3.13-slim", "python3", "-I", "/scratch/main.py"]
    for part in ("--network none", "--memory 100m", "--cpus 1", "--volume /home/x:/scratch", "--env TOKEN ", "--rm"):
        assert part in joined
    assert "t0ken" not in joined
    assert ending == [str(tmp_path / "docker"), "kill", words[words.index("--name") + 1]]


def test_what_makes_containers_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ToolFailed, match="There is no program docker where the worker runs"):
        run(Command(words=("ls",), limits=ProcessLimits(), container=Container(image="alpine")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cli_tool([]), "allowed_commands is a list"),
        (lambda: cli_tool("git"), "allowed_commands is a list"),
        (lambda: cli_tool([""]), "an allowed command is a text"),
        (lambda: cli_tool(["a 'b"]), "cannot be read"),
        (lambda: cli_tool(["./run"]), "another program in each folder"),
        (lambda: cli_tool(["ls"], folder=""), "folder is the path"),
        (lambda: cli_tool(["ls"], environment={"A": 1}), "environment has a text for each name"),  # type: ignore[dict-item]
        (lambda: cli_tool(["ls"], limits=60), "limits must be a ProcessLimits"),  # type: ignore[arg-type]
        (lambda: cli_tool(["ls"], container="alpine"), "container is a Container"),  # type: ignore[arg-type]
        (lambda: code_tool([]), "languages is a list"),
        (lambda: code_tool(["cobol"]), "a language is one of python, bash, javascript"),  # type: ignore[list-item]
        (lambda: ProcessLimits(time=0), "time must be whole seconds"),
        (lambda: ProcessLimits(memory=0), "memory must be a whole number"),
        (lambda: ProcessLimits(network="no"), "network is True or False"),  # type: ignore[arg-type]
        (lambda: Container(image="--privileged"), "image is the name of one"),
        (lambda: Container(image="a", cpus=0), "cpus must be a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make()


# ---- other names ----------------------------------------------------------------------------------------


def tools_of(**options: Any) -> dict[str, Any]:
    return {each.name: each for each in Agent("ops", model="openai/gpt-4o", **options).tools}


def test_other_names_of_these_tools() -> None:
    assert (
        tools_of(cli_commands=True, cli_allowed_commands=["echo"])["ops_run_command"]("echo", ["a"])["stdout"] == "a\n"
    )
    assert list(tools_of(cli_config=CliConfig(allowed_commands=["git", "gh"], timeout=60))) == ["ops_run_command"]
    assert tools_of(local_code_execution=True)["ops_execute_code"]("print(1)")["stdout"] == "1\n"
    assert list(tools_of(code_execution=CodeExecutionConfig(allowed_languages=["bash"]))) == ["ops_execute_code"]
    assert tools_of(cli_config=CliConfig(enabled=False), code_execution=CodeExecutionConfig(enabled=False)) == {}
    assert tools_of(local_code_execution=False, cli_commands=False) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"cli_commands": True},
        {"cli_config": CliConfig(allowed_commands=["ls"], allow_shell=True)},
        {"cli_config": {"allowed_commands": ["ls"]}},
        {"code_execution": True},
    ],
)
def test_other_names_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="agent 'ops'"):
        tools_of(**options)


# ---- a container's maker --------------------------------------------------------------------------------


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    """A program that takes Docker's arguments, writes them down, and runs the command itself."""
    program = tmp_path / "maker"
    program.write_text(
        f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\n[ $1 = kill ] && exit 0\n'
        'until [ "$1" = image ]; do shift; done; shift; exec "$@"\n'
    )
    program.chmod(0o755)
    return program


def test_a_container_is_made_for_each_call_and_is_given_the_credentials(maker: Path, tmp_path: Path) -> None:
    container = Container(image="image", program=str(maker))
    tool = cli_tool(["bash -c"], credentials=["TOKEN"], container=container, limits=ProcessLimits(network=False))

    told = tool.invoke(
        {"command": "bash -c", "args": ["echo $TOKEN"]}, context_of(credentials=Credentials({"TOKEN": "t0ken"}))
    )

    assert told == {"exit_code": 0, "stdout": "t0ken\n", "stderr": ""}
    asked = read(tmp_path / "asked")
    assert "--network none" in asked
    assert "--env TOKEN " in asked
    assert "t0ken" not in asked


def test_a_container_that_takes_too_long_is_ended_by_its_name(maker: Path, tmp_path: Path) -> None:
    container = Container(image="image", program=str(maker))
    tool = cli_tool(["sleep"], container=container, limits=ProcessLimits(time=1))

    assert tool("sleep", ["1000"])["stopped"] == "stopped after 1 s"

    made, ended = read(tmp_path / "asked").splitlines()
    assert ended == f"kill {made.split('--name ')[1].split()[0]}"
