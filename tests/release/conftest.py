"""What would be released, and empty environments to install it into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT, files

UV = os.environ.get("UV") or shutil.which("uv") or "uv"


def uv(*arguments: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run([UV, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment and an empty folder to run its programs in."""

    path: Path
    folder: Path

    def install(self, *what: str | Path) -> None:
        """The distributions alone: what they need is this environment's."""
        uv("pip", "install", "--no-deps", "--python", self.path, *what)

    def uninstall(self, *names: str) -> None:
        uv("pip", "uninstall", "--python", self.path, *names)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.path / "bin" / program, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def lend(self, folder: Path) -> None:
        """Let it import what is installed in another environment, but not that one's editable installs."""
        (site,) = self.path.glob("lib/*/site-packages")
        (site / "lent.pth").write_text(f"{folder}\n", encoding="utf-8")


@pytest.fixture
def empty_environment(tmp_path: Path) -> Environment:
    (tmp_path / "empty").mkdir()
    uv("venv", "--python", sys.executable, tmp_path / "env")
    return Environment(tmp_path / "env", tmp_path / "empty")


@pytest.fixture
def environment(empty_environment: Environment) -> Environment:
    """One that has what agentspan needs, and not agentspan."""
    empty_environment.lend(Path(pytest.__file__).parents[1])
    return empty_environment


def clone(folder: Path) -> Path:
    """The files of the repository as a clone would have them, and nothing that was built."""
    for path in files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of the repository for one test, which may build in it."""
    return clone(tmp_path / "checkout")


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dry run of the release, which has passed."""
    folder = clone(tmp_path_factory.mktemp("released"))
    done = subprocess.run(["scripts/release-check"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path
