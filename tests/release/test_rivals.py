"""Two distributions that want the name `agentspan` in one environment: the user is told, and gets out."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from .conftest import Environment

WAY_OUT = "pip uninstall agentspan agents-on-conductor, then install one of them"

THE_OTHER_ONE = {
    "agentspan/__init__.py": "",
    "agentspan/agents/__init__.py": "class Agent: ...\n",
    "agentspan/cli/__init__.py": "def main() -> None: print('another program')\n",
}


def built(folder: Path, name: str, sources: dict[str, str]) -> Path:
    """A wheel of these files, with the command `agentspan`."""
    main = f"{next(iter(sources)).partition('/')[0]}.cli:main"
    about = f"{name.replace('-', '_')}-9.9.dist-info"
    contents = {
        **sources,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\nagentspan = {main}\n",
    }
    record = "".join(f"{path},,\n" for path in [*contents, f"{about}/RECORD"])
    wheel = folder / f"{name.replace('-', '_')}-9.9-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, text in {**contents, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def mixed(environment: Environment, wheel: Path, tmp_path: Path) -> Environment:
    """The other `agentspan`, and then this project over it."""
    environment.install(built(tmp_path, "agentspan", THE_OTHER_ONE))
    environment.install(wheel)
    return environment


TWO_RUNTIMES = "from agentspan.agents import AgentRuntime; AgentRuntime(); AgentRuntime()"


def test_the_version_names_both_and_the_way_out(mixed: Environment) -> None:
    said = mixed.run("agentspan", "--version")

    assert said.returncode == 0
    assert said.stdout.endswith("(agents-on-conductor)\n")
    assert "agentspan 9.9" in said.stderr
    assert WAY_OUT in said.stderr


def test_doctor_names_both_and_the_way_out(mixed: Environment) -> None:
    said = mixed.run("agentspan", "doctor", "-o", "json")

    (check,) = [check for check in json.loads(said.stdout)["checks"] if check["name"] == "install"]
    assert check["level"] == "warn"
    assert "agentspan 9.9" in check["detail"]
    assert "agents-on-conductor" in check["detail"]
    assert WAY_OUT in check["fix"]


def test_a_program_is_warned_once(mixed: Environment) -> None:
    said = mixed.run("python", "-c", TWO_RUNTIMES)

    assert said.returncode == 0, said.stderr
    (line,) = said.stderr.splitlines()
    assert "agentspan 9.9 and agents-on-conductor are mixed" in line
    assert WAY_OUT in line


def test_the_way_out_leads_out(mixed: Environment, wheel: Path) -> None:
    mixed.uninstall("agentspan")
    assert mixed.run("python", "-c", "from agentspan.agents import Agent").returncode != 0, "files of both are gone"

    mixed.uninstall("agents-on-conductor")
    mixed.install(wheel)

    said = mixed.run("python", "-c", TWO_RUNTIMES)
    assert (said.returncode, said.stderr) == (0, "")


def test_a_command_of_the_same_name_is_told_too(environment: Environment, wheel: Path, tmp_path: Path) -> None:
    environment.install(built(tmp_path, "other-sdk", {"other/cli.py": ""}))
    environment.install(wheel)

    said = environment.run("agentspan", "--version")

    assert "other-sdk 9.9" in said.stderr
    assert "pip uninstall other-sdk agents-on-conductor" in said.stderr
