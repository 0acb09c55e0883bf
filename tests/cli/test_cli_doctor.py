"""`agentspan doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.cli import main

NAMES = ["python", "install", "server", "java", "jar", "port", "data", "disk", "keys"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("AGENTSPAN_SERVER_URL", "CONDUCTOR_SERVER_URL", "AGENTSPAN_PORT", "AGENTSPAN_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def doctor(server: str | None, **environ: str) -> tuple[int, dict[str, Any], str]:
    """Run it in a process of its own, as a user does: its exit code, what it says, and all it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "agentspan", *(["--server", server] if server else []), "doctor", "-o", "json"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stdout + done.stderr


def checks_of(said: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in said["checks"]}


def test_with_a_server(conductor_url: str) -> None:
    code, said, _ = doctor(conductor_url)

    checks = checks_of(said)
    assert code == 0
    assert list(checks) == NAMES
    assert conductor_url in checks["server"]["detail"]
    assert all(check["fix"] for check in checks.values() if check["level"] != "ok")


def test_a_named_server_that_does_not_answer_blocks() -> None:
    code, said, _ = doctor("http://127.0.0.1:9")

    assert code == 1
    assert not said["ok"]
    assert checks_of(said)["server"]["level"] == "fail"


def test_no_java_blocks_only_when_a_server_must_be_started(conductor_url: str, tmp_path: Path) -> None:
    no_java = str(tmp_path / "no-java")

    _, said, _ = doctor(conductor_url, AGENTSPAN_JAVA=no_java)
    assert checks_of(said)["java"]["level"] == "warn"
    code, said, _ = doctor(None, AGENTSPAN_PORT="9", AGENTSPAN_JAVA=no_java)
    assert code == 1
    assert checks_of(said)["java"]["level"] == "fail"
    assert "agents-on-conductor[server]" in checks_of(said)["java"]["fix"]


def test_keys_are_named_and_never_shown(conductor_url: str) -> None:
    _, said, wrote = doctor(conductor_url, OPENAI_API_KEY="sk-very-secret")

    assert "OPENAI_API_KEY" in checks_of(said)["keys"]["detail"]
    assert "sk-very-secret" not in wrote


def test_text_and_lines(conductor_url: str) -> None:
    arguments = ["--server", conductor_url, "doctor"]
    text = CliRunner().invoke(main, arguments).stdout
    lines = CliRunner().invoke(main, [*arguments, "-o", "jsonl"]).stdout.splitlines()

    assert "ok    server    Conductor" in text
    assert [json.loads(line)["name"] for line in lines] == NAMES
