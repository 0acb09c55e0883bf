"""The snippets of docs/crash-and-resume.md, each run as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- (?P<name>[^>]+) -->\n```\w+\n(?P<code>.*?)\n```", re.DOTALL)


@pytest.fixture(scope="session")
def snippets() -> dict[str, str]:
    """The code blocks of the page, by the name above each."""
    text = (ROOT / "docs/crash-and-resume.md").read_text(encoding="utf-8")
    return {found["name"]: found["code"] for found in _BLOCK.finditer(text)}


class Processes:
    """Python processes that talk to the session's server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "AGENTSPAN_SERVER_URL": url, "PYTHONUNBUFFERED": "1"}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, code: str, name: str = "script.py") -> subprocess.Popen[str]:
        path = self._folder / name
        path.write_text(code, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env=self._environment,
            cwd=self._folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    def run(self, code: str, name: str = "script.py") -> str:
        output, _ = self.start(code, name).communicate(timeout=120)
        return output

    def stop(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=30)


@pytest.fixture
def processes(conductor_url: str, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(conductor_url, tmp_path)
    yield made
    made.stop()
