"""What holds for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import agentspan
from agentspan.cli import NOUNS, main

NOBODY = "http://127.0.0.1:9"


def invoke(*arguments: str, **options: object) -> Result:
    return CliRunner().invoke(main, arguments, **options)


def in_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(argument: str) -> None:
    loaded = in_python(
        "import sys\n"
        "from agentspan.cli import main\n"
        f"main([{argument!r}], standalone_mode=False)\n"
        "print(*{'conductor', 'pydantic', 'httpx', 'requests'} & set(sys.modules), sep=',')"
    )
    assert loaded.splitlines()[-1] == ""


def test_what_else_is_installed_is_not_looked_at_without_need() -> None:
    loaded = in_python(
        "import sys\n"
        "import agentspan.agents\n"
        "from agentspan.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print('importlib.metadata' in sys.modules)"
    )
    assert loaded.splitlines()[-1] == "False"


def test_version() -> None:
    assert invoke("--version").output == f"agentspan {agentspan.__version__} (agents-on-conductor)\n"


def test_help_names_every_noun_and_the_exit_codes() -> None:
    text = invoke("--help").output
    for noun, (_, meaning) in NOUNS.items():
        assert f"  {noun} " in text
        assert meaning in " ".join(text.split())
    assert "5  no server answers" in text


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [each for name, child in found if child for each in commands(child, (*path, name))]


ALL = commands(main)


WITHOUT_DATA = {("completion",), ("dev",)}
"""A script for a shell, and a process for a person: nothing that JSON could say."""


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_and_all_outputs(path: tuple[str, ...]) -> None:
    result = invoke(*path, "--help")

    assert result.exit_code == 0
    if path in WITHOUT_DATA:
        return
    assert "-o, --output [text|json|jsonl]" in result.output
    assert "--json" in result.output


def test_help_of_a_verb_says_the_same_as_its_noun() -> None:
    root = click.Context(main)
    for noun in ("agent", "worker"):
        group = main.get_command(root, noun)
        assert isinstance(group, click.Group)
        for verb, listed in group.commands.items():
            command = group.get_command(root, verb)
            assert command
            assert command.get_short_help_str(200) == listed.get_short_help_str(200)


def test_help_of_a_noun_says_the_same_as_the_root() -> None:
    context = click.Context(main)
    for noun, (_, meaning) in NOUNS.items():
        command = main.get_command(context, noun)
        assert command
        assert command.help
        assert command.help.partition("\n")[0] == meaning


@pytest.mark.parametrize(("typed", "guess"), [(["agnt"], "agent"), (["agent", "statsu"], "status")])
def test_a_mistyped_command_gets_a_guess(typed: list[str], guess: str) -> None:
    result = invoke(*typed)

    assert result.exit_code == 2
    assert guess in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["agent", "status", "x"],
        ["agent", "stream", "x"],
        ["agent", "result", "x"],
        ["agent", "inspect", "x"],
        ["agent", "why", "x"],
        ["agent", "watch", "x"],
        ["agent", "open", "x"],
        ["agent", "prune", "--older-than", "1d"],
        ["worker", "list"],
        ["agent", "list"],
        ["agent", "start", "agentspan.demo.agent", "hello"],
        ["agent", "run", "agentspan.demo.agent", "hello"],
        ["worker", "start", "agentspan.demo.agent"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_an_unreachable_server(arguments: list[str]) -> None:
    result = invoke("--server", NOBODY, *arguments)

    assert result.exit_code == 5, result.output
    assert result.stdout == ""
    error, hint = result.stderr.splitlines()
    assert error.startswith(f"Error: No Conductor server answers at {NOBODY}")
    assert "agentspan server start" in hint


def test_a_server_address_that_is_none() -> None:
    result = invoke("--server", "localhost", "agent", "list")

    assert result.exit_code == 2
    assert "http://host:port" in result.stderr


def boom() -> None:
    raise RuntimeError("out of cheese")


def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentspan.cli.doctor.examine", lambda settings: boom())
    result = invoke("doctor")

    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error == "Error: unexpected RuntimeError: out of cheese"
    assert "--debug" in hint


@pytest.mark.parametrize(("arguments", "environ"), [(["--debug"], {}), ([], {"AGENTSPAN_DEBUG": "1"})])
def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: dict[str, str]
) -> None:
    monkeypatch.setattr("agentspan.cli.doctor.examine", lambda settings: boom())
    result = invoke(*arguments, "doctor", env=environ)

    assert isinstance(result.exception, RuntimeError)


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentspan.cli.doctor.examine", lambda settings: interrupted())
    result = invoke("doctor")

    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is told otherwise")
def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    command = f"{sys.executable} -m agentspan agent compile agentspan.demo.agent 2>{tmp_path}/err | head -n 1"
    subprocess.run(command, shell=True, check=True, capture_output=True)

    assert (tmp_path / "err").read_text() == ""
