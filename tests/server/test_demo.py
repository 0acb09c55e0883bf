"""`agentspan demo`: the project's main promise, in one command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentspan.server import LocalServer

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@pytest.mark.server
@pytest.mark.timeout(300)
def test_the_demo_keeps_its_promise(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in KEYS}
    environ["AGENTSPAN_DATA_DIR"] = str(tmp_path)
    folder = tmp_path / "demo"  # beside, not in place of, the data of `agentspan server`
    command = [sys.executable, "-m", "agentspan", "demo"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280, check=False)

    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert "the model is a script" in told
    (killed,) = re.findall(r"^kill -9 (\d+)$", told, re.MULTILINE)
    assert f"Worker A is process {killed}" in told
    still = re.findall(r"^  RUNNING  step (\d+) / 20  elapsed \d+s$", told, re.MULTILINE)
    assert still == ["4"] * 3
    assert re.search(r"Worker B has taken up analyze_chunk \(chunk 3\), [\d.]+ s after the kill: attempt 2", told)
    assert "Mean rating 3.47 of 5" in told
    assert "7 calls ran once, 1 ran twice, none was lost, in 9 steps." in told
    twice = rf"analyze_chunk +chunk 3 +2 times   attempt 1 in process {killed} \(killed\), attempt 2 in process \d+"
    assert re.search(twice, told)
    (execution_id,) = re.findall(r"^STARTED  execution_id=(\S+)$", told, re.MULTILINE)
    assert f"agent status {execution_id}" in told
    assert (folder / "server.log").exists()
    assert LocalServer(folder).status() is None
    workers = re.findall(r"Worker [AB] is process (\d+)", told)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
