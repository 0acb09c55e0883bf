"""`agentspan doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentspan.cli import main

NAMES = ["python", "server", "java", "jar", "port", "keys", "data", "disk"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("AGENTSPAN_SERVER_URL", "CONDUCTOR_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def doctor(*options: str, server: str = "", **environ: str) -> tuple[Result, dict[str, dict[str, str]]]:
    arguments = ["--server", server] if server else []
    result = CliRunner().invoke(main, [*arguments, "doctor", "-o", "json", *options], env=environ)
    return result, {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_with_a_server(conductor_url: str) -> None:
    result, checks = doctor(server=conductor_url)

    assert result.exit_code == 0
    assert list(checks) == NAMES
    assert conductor_url in checks["server"]["detail"]
    assert all(check["fix"] for check in checks.values() if check["level"] != "ok")


def test_a_named_server_that_does_not_answer_blocks() -> None:
    result, checks = doctor(server="http://127.0.0.1:9")

    assert result.exit_code == 1
    assert not json.loads(result.stdout)["ok"]
    assert checks["server"]["level"] == "fail"


def test_no_java_blocks_only_when_a_server_must_be_started(
    conductor_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSPAN_JAVA", str(tmp_path / "no-java"))

    assert doctor(server=conductor_url)[1]["java"]["level"] == "warn"
    monkeypatch.setattr("agentspan.cli.doctor.DEFAULT_SERVER_URL", "http://127.0.0.1:9")
    result, checks = doctor(server="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert checks["java"]["level"] == "fail"
    assert "agentspan[server]" in checks["java"]["fix"]


def test_keys_are_named_and_never_shown(conductor_url: str) -> None:
    result, checks = doctor(server=conductor_url, OPENAI_API_KEY="sk-very-secret")

    assert "OPENAI_API_KEY" in checks["keys"]["detail"]
    assert "sk-very-secret" not in result.output


def test_text_and_lines(conductor_url: str) -> None:
    arguments = ["--server", conductor_url, "doctor"]
    text = CliRunner().invoke(main, arguments).stdout
    lines = CliRunner().invoke(main, [*arguments, "-o", "jsonl"]).stdout.splitlines()

    assert "ok    server    Conductor" in text
    assert [json.loads(line)["name"] for line in lines] == NAMES
