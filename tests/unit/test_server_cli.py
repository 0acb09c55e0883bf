"""`agentspan server`, as far as no server is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentspan.cli.server import server_group


def invoke(*arguments: str | Path) -> str:
    result = CliRunner().invoke(server_group, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_without_a_server(tmp_path: Path) -> None:
    assert invoke("status", "--data-dir", tmp_path) == "no server is running\n"
    assert invoke("stop", "--data-dir", tmp_path) == "no server was running\n"
    assert invoke("logs", "--data-dir", tmp_path) == ""


def test_json(tmp_path: Path) -> None:
    assert json.loads(invoke("status", "--data-dir", tmp_path, "-o", "json")) == {"running": False}
    assert json.loads(invoke("stop", "--data-dir", tmp_path, "-o", "json")) == {"stopped": False}


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_logs(tmp_path: Path, output: str) -> None:
    (tmp_path / "server.log").write_text("one\ntwo\n")

    printed = invoke("logs", "-n", "1", "--data-dir", tmp_path, "-o", output)

    if output == "text":
        assert printed == "two\n"
    else:
        assert json.loads(printed) == {"json": [{"line": "two"}], "jsonl": {"line": "two"}}[output]


def test_the_command_is_cheap_to_import() -> None:
    heavy = {"requests", "conductor", "psutil", "pooch", "jgo"}
    script = f"import sys, agentspan.cli.server; print(*({heavy} & set(sys.modules)))"

    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == ""
