"""What type checkers make of the programs in this folder, and of the whole package.

A line of a program that must not type-check says so with `type: ignore`; one that does after all is an error, too.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))


def check(checker: str, *arguments: str | Path) -> str:
    """Its report; the test fails with it where it finds something."""
    command = [sys.executable, "-m", checker, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mypy_takes_the_programs() -> None:
    check("mypy", "--strict", *PROGRAMS)


def test_pyright_takes_the_programs() -> None:
    check("basedpyright", "--project", HERE, "--pythonpath", sys.executable)


def test_every_public_name_has_a_type() -> None:
    """All of them, also those of a module that may change at any time."""
    report = check("basedpyright", "--verifytypes", "agentspan", "--ignoreexternal", "--pythonpath", sys.executable)

    assert "Type completeness score: 100%" in report


def test_the_names_may_be_imported_from_the_package() -> None:
    names = runpy.run_path(str(HERE / "top_level.py"))

    assert names["agent"].tools == (names["forecast"],)
    assert names["forecast"]("Oslo", days=2) == ["rain in Oslo", "rain in Oslo"]
