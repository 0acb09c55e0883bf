"""A user's mistake, a full disk, an odd terminal: told in a line, with an exit code, and never as our defect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "agentspan"]

APP = """
from agentspan.agents import Agent
agent = Agent("grüße_😀".encode("ascii", "ignore").decode() or "a", model="openai/gpt-4o", instructions="Grüße 😀")
"""


def run(
    *arguments: str, cwd: Path | None = None, stdout: int | None = None, **environment: str
) -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    return done.returncode, (done.stdout or b"").decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    return tmp_path


def in_words(err: str) -> bool:
    return "unexpected" not in err and "Traceback" not in err and "ignored" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout(app: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, _, err = run("agent", "compile", "app:agent", cwd=app, stdout=full.fileno())
    assert (code, in_words(err)) == (1, True)
    assert "No space left on device" in err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_knows_few_characters(app: Path, encoding: str) -> None:
    code, out, err = run("agent", "compile", "app:agent", cwd=app, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (code, err) == (0, "")
    assert "instructions" in out


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = run("server", "start", "--data-dir", str(tmp_path / "file" / "below"))
    assert (code, in_words(err)) == (1, True)
    assert "Not a directory" in err or "File exists" in err
    assert str(tmp_path) in err


@pytest.mark.parametrize("port", ["65536", "99999", "0", "x"])
def test_a_port_that_is_none(port: str) -> None:
    code, _, err = run("--server", f"http://127.0.0.1:{port}", "agent", "list")
    assert (code, in_words(err)) == (2, True)
    assert "is not an address of a server" in err


def test_a_folder_with_modules_named_like_the_library_s(app: Path) -> None:
    for name in ("json", "types", "random", "queue", "uuid"):
        (app / f"{name}.py").write_text("raise RuntimeError('not the library')\n")
    script = Path(sys.executable).with_name("agentspan")
    done = subprocess.run(
        [script, "agent", "compile", "app:agent"], cwd=app, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_an_agent_in_a_file_named_like_a_library_s(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(APP, encoding="utf-8")
    script = Path(sys.executable).with_name("agentspan")
    command = [script, "agent", "compile", "json.py:agent", "-o", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 2), done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:1", "nonsense://x"])
def test_a_proxy_is_not_asked_for_what_is_on_this_machine(conductor_url: str, proxy: str) -> None:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    code, _, err = run("--server", conductor_url, "agent", "list", **dict.fromkeys(names, proxy))
    assert (code, err.strip()) == (0, err.strip())
    assert in_words(err)
