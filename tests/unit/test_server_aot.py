"""Quick starts are a bonus: whatever goes wrong with them, the server starts without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agentspan.server._aot import aot_flags, ensure_cache
from agentspan.server._engine import Engine
from agentspan.server._java import Java
from agentspan.server._record import Record


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "conductor")


def java(tmp_path: Path, version: str) -> Java:
    """A Java that says something and ends."""
    path = tmp_path / "java"
    path.write_text("#!/bin/sh\necho 'no such option'\nexit 1\n")
    path.chmod(0o755)
    return Java(path, version)


def test_a_java_without_them(engine: Engine, tmp_path: Path) -> None:
    stages: list[str] = []

    ensure_cache(engine, java(tmp_path, "21.0.1"), lambda stage, *_: stages.append(stage))

    assert stages == []
    assert aot_flags(engine, java(tmp_path, "21.0.1")) == []


def test_a_recording_that_fails_is_told_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    stages: list[str] = []

    ensure_cache(engine, java(tmp_path, "25.0.2"), lambda stage, *_: stages.append(stage))

    assert stages[0] == "preparing quick starts"
    assert "going on without quick starts: the server ended while it was starting" in stages[1]
    assert "no such option" in stages[1]
    assert list(engine.folder.iterdir()) == []
    assert aot_flags(engine, java(tmp_path, "25.0.2")) == []


def test_what_an_interrupted_recording_left_is_cleared(engine: Engine, tmp_path: Path) -> None:
    left = engine.folder / "rehearsal"
    left.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as orphan:
        Record.of(orphan.pid, port=1, version="3", providers=()).write(left)

        ensure_cache(engine, java(tmp_path, "25.0.2"), lambda *_: None)

        assert not psutil.pid_exists(orphan.pid)
    assert not left.exists()


def test_a_cache_that_is_there_is_used(engine: Engine, tmp_path: Path) -> None:
    engine.folder.mkdir()
    found = java(tmp_path, "25.0.2")
    for name in ("java-25.0.2-x86_64.aot", "java-25.0.2-aarch64.aot", "java-25.0.2-arm64.aot"):
        (engine.folder / name).touch()

    (flag,) = aot_flags(engine, found)

    assert flag.startswith(f"-XX:AOTCache={engine.folder}/java-25.0.2-")
