"""MODULE:AGENT: what it finds, and what it says when it finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentspan.cli import main

GOOD = """
from agentspan.agents import Agent

print("this is no definition")
agent = Agent("helper", model="openai/gpt-4o")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def compiled(target: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["agent", "compile", target, *options])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "target", ["helpers:agent", "helpers", "helpers.py:agent", "helpers.py", "./helpers.py", "pkg.inner:agent"]
)
def test_ways_to_name_an_agent(here: Path, target: str) -> None:
    write(here / "helpers.py", GOOD)
    write(here / "pkg/__init__.py", "")
    write(here / "pkg/inner.py", GOOD)

    result = compiled(target)

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["workflows"][0]["name"] == "helper"
    assert "this is no definition" in result.stderr


def test_a_file_in_another_folder_finds_its_neighbours(here: Path) -> None:
    write(here / "deep/neighbour.py", "NAME = 'helper'")
    write(here / "deep/app.py", "from neighbour import NAME\n" + GOOD.replace('"helper"', "NAME"))

    assert compiled("deep/app.py").exit_code == 0


def test_it_says_what_needs_a_worker_that_calls_the_model(here: Path) -> None:
    needs = GOOD.replace("import Agent", "import Agent, Budget").replace('gpt-4o"', 'gpt-4o", budget=Budget(turns=3)')
    write(here / "frugal.py", needs)

    assert "The model of helper is called by a worker: a budget needs one.\n" in compiled("frugal.py").stderr


def test_json_lines(here: Path) -> None:
    write(here / "helpers.py", GOOD)
    lines = compiled("helpers", "-o", "jsonl").stdout.splitlines()

    assert [json.loads(line)["name"] for line in lines] == ["helper"]


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("nowhere", "", "There is no module 'nowhere'."),
        ("nowhere.py", "", "There is no file 'nowhere.py'."),
        (":agent", "", "':agent' names no agent."),
        ("app:", GOOD, "'app:' names no agent."),
        ("app:agnet", GOOD, "Did you mean 'agent'?"),
        ("app:Agent", GOOD, "'Agent' in app is a type, not an Agent."),
        ("app", "x = 1", "app has no agent."),
        ("app", GOOD + "other = Agent('other', model='openai/x')", "app has several agents: agent, other."),
        ("app", "\nraise KeyError('x')", "app.py:2: KeyError: 'x'"),
        ("app", "\n\ndef broken(:", "app.py:3: SyntaxError"),
        ("app", "import not_there_at_all", "app.py:1: ModuleNotFoundError"),
        ("app", "import sys\nsys.exit('no')", "app.py:2: SystemExit: no"),
        ("app", GOOD.replace("helper", "1 bad name"), "app.py:5: DefinitionError: agent '1 bad name'"),
        ("app", GOOD.replace("openai/", "opanai/"), "did you mean 'openai'?"),
        (
            "app",
            GOOD + "\ndef f(*x): ...\nb = Agent('b', model='openai/x', tools=[f])",
            "app.py:8: DefinitionError: tool 'f'",
        ),
    ],
)
def test_mistakes_are_told_in_words(here: Path, target: str, source: str, message: str) -> None:
    write(here / "app.py", source)

    result = compiled(target)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_compile_needs_neither_a_server_nor_its_client(here: Path) -> None:
    write(here / "helpers.py", GOOD)
    code = (
        "import sys\n"
        "from agentspan.cli import main\n"
        "main(['agent', 'compile', 'helpers'], standalone_mode=False)\n"
        "sys.exit('conductor' in sys.modules or 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["workflows"]
