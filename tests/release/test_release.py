"""A release holds what it should, says what is true, and is installed as the README says."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.metadata import Metadata

import agentspan
from tests.docs.conftest import ROOT, blocks, files

from .conftest import UV, Environment, uv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ROOT / "src"


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()

    package = {path.relative_to(PACKAGE).as_posix() for path in files() if path.is_relative_to(PACKAGE)}
    assert {name for name in names if ".dist-info/" not in name} == package
    assert {"agentspan/py.typed", "agentspan/compiler/plan.jq"} <= package
    assert {name.partition(".dist-info/")[2] for name in names} - {""} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    """The released wheel was built from the sdist."""
    uv("build", "--wheel", "--out-dir", tmp_path / "built", cwd=checkout)

    assert (tmp_path / "built" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_metadata_are_valid_and_name_the_package(wheel: Path) -> None:
    (name,) = [name for name in ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    metadata = Metadata.from_email(ZipFile(wheel).read(name))  # refuses what is not valid

    assert metadata.name == "agents-on-conductor"
    assert metadata.import_names == ["agentspan"]
    assert metadata.description_content_type == "text/markdown"
    assert metadata.license_expression == "Apache-2.0"
    assert set(metadata.provides_extra or []) == {"dev", "mcp", "models", "otel", "server", "testing"}
    assert not any(
        "Windows" in classifier or "OS Independent" in classifier for classifier in metadata.classifiers or []
    )


def test_the_version_stands_in_one_place() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert agentspan.__version__ == PROJECT["version"]
    assert sections[0] == "Unreleased" or sections[0].split()[0] == PROJECT["version"]


def test_a_release_is_refused_that_the_changelog_or_git_does_not_know(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "scripts/release-check"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "scripts/release-check").chmod(0o755)
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## Unreleased\n\nSee {PROJECT['version']}.\n", encoding="utf-8"
    )
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)

    assert f"no section for {PROJECT['version']}" in refused(tmp_path)
    (tmp_path / "forgotten.py").touch()
    assert "not committed" in refused(tmp_path)
    assert not (tmp_path / "dist").exists()


def refused(checkout: Path) -> str:
    command = ["scripts/release-check", "--final"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def ways_to_install() -> list[list[str]]:
    """The commands of each block that begins with a `pip` or `uv build`, below the heading Install."""
    code = [block.code for block in blocks(ROOT / "README.md", "console")]
    typed = [re.findall(r"^\$ (.+)$", text, re.MULTILINE) for text in code]
    return [lines for lines in typed if lines[0].startswith(("pip install", "uv build"))]


@pytest.mark.parametrize("lines", ways_to_install(), ids=" && ".join)
def test_the_readme_installs_a_checkout_into_an_empty_environment(
    lines: list[str], empty_environment: Environment, checkout: Path
) -> None:
    """Its commands, with uv in the place of pip, which would take half a minute for the same."""
    programs = empty_environment.path / "bin"
    for name, command in {"pip": f"'{UV}' pip", "uv": f"'{UV}'"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "VIRTUAL_ENV": str(empty_environment.path)}
    script = "\n".join(["set -e", "rm -rf dist", *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    said = empty_environment.run("agentspan", "--version")
    assert (said.stdout, said.stderr) == (f"agentspan {PROJECT['version']} (agents-on-conductor)\n", "")
    code = "from agentspan.agents import Agent; from agentspan.server import LocalServer; print(Agent.__module__)"
    assert empty_environment.run("python", "-c", code).stdout == "agentspan.declare.agent\n"


def test_pytest_of_a_user_without_the_extra_runs(empty_environment: Environment, wheel: Path) -> None:
    """pytest loads our plugin wherever the distribution is installed; there is nothing then that it could load."""
    uv("pip", "install", "--python", empty_environment.path, wheel, "pytest")
    (empty_environment.folder / "test_theirs.py").write_text("def test_theirs(): pass\n", encoding="utf-8")

    done = empty_environment.run("pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_readme_shows_both_ways_to_install() -> None:
    assert [lines[0].split()[0] for lines in ways_to_install()] == ["pip", "uv"]
