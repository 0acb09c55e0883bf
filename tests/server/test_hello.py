"""`python hello.py` from nothing: a program that names no server and finds none starts the embedded one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentspan.server import LocalServer
from agentspan.server._process import free_port, port_is_free
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage

HELLO = """
from agentspan.agents import Agent, run, tool

@tool
def double(number: int) -> int:
    "Double a number."
    return 2 * number

agent = Agent("hello", model="{model}", tools=[double], instructions="Be brief.")

if __name__ == "__main__":
    print(run(agent, "Double 21.", timeout=120).output)
"""

NOT_INSTALLED = (
    "import sys; sys.modules['psutil'] = None; import runpy; runpy.run_path('hello.py', run_name='__main__')"
)


def once(request: ModelRequest) -> Reply:
    return say("42") if request.tool_results else call("double", number=21)


@dataclass
class Stranger:
    """Somebody who has the package, a key and a script, and nothing else.

    Attributes:
        home: Their folder, which holds the script.
        environ: What their programs see; nothing of ours.
        port: What stands for 6767, which others on this machine may have.
    """

    home: Path
    environ: dict[str, str]
    port: int = field(default_factory=free_port)

    @property
    def server(self) -> LocalServer:
        return LocalServer(self.home / "data")

    def begin(self, *command: str, **more: str) -> subprocess.Popen[str]:
        environ = {**self.environ, "AGENTSPAN_PORT": str(self.port), **more}
        return subprocess.Popen(
            [sys.executable, *(command or ("hello.py",))],
            cwd=self.home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **more: str) -> tuple[int, str, str]:
        return ended(self.begin(*command, **more))


def ended(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = program.communicate(timeout=400)
    return program.returncode, out, err


@pytest.fixture
def stranger(tmp_path: Path, model: Stage) -> Iterator[Stranger]:
    ours = ("AGENTSPAN_", "CONDUCTOR_", "CI")
    inherited: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    urls = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": model.server.openai_url}
    folders = {"AGENTSPAN_DATA_DIR": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    (tmp_path / "hello.py").write_text(HELLO.format(model=model.play(once)))
    made = Stranger(tmp_path, {**inherited, **urls, **folders})
    yield made
    made.server.stop()


@pytest.mark.timeout(600)
def test_two_scripts_at_once_start_one_server_which_a_third_one_finds(stranger: Stranger) -> None:
    both = [ended(program) for program in [stranger.begin(), stranger.begin()]]

    assert [(code, out) for code, out, _ in both] == [(0, "42\n"), (0, "42\n")], both
    told = sorted(line for _, _, err in both for line in err.splitlines() if "starting" in line)
    url = f"http://127.0.0.1:{stranger.port}"
    assert told == [
        f"agentspan: starting the server at {url}; it outlives this program, and `agentspan server stop` ends it"
    ]
    state = stranger.server.status()
    assert state is not None, "it outlives the scripts"
    assert (state.url, state.healthy, state.data_dir) == (url, True, stranger.home / "data")

    assert stranger.run() == (0, "42\n", "")
    code, _, err = stranger.run(AGENTSPAN_PORT=str(free_port()))
    assert code == 1
    assert f"the one of {state.data_dir} runs at {url}." in err
    assert f"Set AGENTSPAN_SERVER_URL={url}" in err
    code, out, _ = stranger.run("-m", "agentspan", "server", "status", "-o", "json")
    assert (code, json.loads(out)["pid"]) == (0, state.pid)
    code, out, _ = stranger.run("-m", "agentspan", "server", "stop")
    assert (code, out) == (0, "server stopped\n")


def test_where_none_is_wanted_none_is_started(stranger: Stranger) -> None:
    url = f"http://127.0.0.1:{stranger.port}"
    begun = [
        stranger.begin(AGENTSPAN_AUTOSTART="0"),
        stranger.begin(CI="true"),
        stranger.begin(AGENTSPAN_SERVER_URL=url),
        stranger.begin(CONDUCTOR_SERVER_URL=f"{url}/api"),
    ]
    by_command = stranger.begin("-m", "agentspan", "agent", "run", "hello.py:agent", "Double 21.")

    for code, out, err in map(ended, begun):
        assert (code, out) == (1, "")
        assert f"ServerUnreachable: No Conductor server answers at {url}" in err
        assert "agentspan server start" in err
    code, _, err = ended(by_command)
    assert (code, err.splitlines()[0].partition(" (")[0]) == (5, f"Error: No Conductor server answers at {url}")
    assert not (stranger.home / "data").exists()


def test_without_the_extra_the_error_names_it(stranger: Stranger) -> None:
    code, out, err = stranger.run("-c", NOT_INSTALLED)

    assert (code, out) == (1, "")
    assert "ServerUnreachable: No Conductor server answers at" in err
    assert "to start one the package psutil is missing" in err
    assert "pip install 'agents-on-conductor[server]'" in err
    assert port_is_free(stranger.port)
