"""`agentspan agent watch`, as a process: in a pipe, on a terminal, through a restart of the server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.server import LocalServer
from agentspan.testing import call, fail, say, wait_until
from agentspan.testing.plugin import Stage

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

HOSTILE = "8 \x1b[2J\x9b [red]it[/red] is"


class Watcher:
    """The command in a process of its own; what it writes is read as it comes."""

    def __init__(self, handle: AgentHandle, *options: str, terminal: bool = False) -> None:
        words = ["--server", handle.runtime.settings.server_url, "agent", "watch", handle.execution_id, *options]
        self.out, self.err = bytearray(), bytearray()
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "90", "LINES": "30"}
        reader, writer = pty.openpty() if terminal else os.pipe()
        command = [sys.executable, "-m", "agentspan", *words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=pipe, env=environ)
        os.close(writer)
        assert self.process.stderr
        self._threads = [
            threading.Thread(target=self._read, args=[reader, self.out]),
            threading.Thread(target=self._read, args=[self.process.stderr.fileno(), self.err]),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, source: int, target: bytearray) -> None:
        while True:
            try:
                some = os.read(source, 65536)
            except OSError:  # the end of a pseudo-terminal
                return
            if not some:
                return
            target += some

    def end(self, code: int = 0) -> str:
        """Wait for its end; what it printed."""
        assert self.process.wait(timeout=90) == code, bytes(self.err).decode()
        for thread in self._threads:
            thread.join(timeout=10)
        assert self.process.stderr
        self.process.stderr.close()
        return bytes(self.out).decode()


class Gated:
    """A run of an agent whose only tool waits until it may go on."""

    def __init__(self, runtime: AgentRuntime, model: Stage) -> None:
        self.go_on = threading.Event()

        @tool
        def gate(text: str) -> str:
            """Wait."""
            self.go_on.wait(90)
            return text

        agent = Agent("watched", model=model.play([call("gate", text=HOSTILE), say(HOSTILE)]), tools=[gate])
        self.handle = runtime.start(agent, "Go.")
        wait_until(lambda: self.handle.get_status().current_task == "gate", "the tool to be called")


@pytest.fixture
def gated(runtime: AgentRuntime, model: Stage) -> Iterator[Gated]:
    run = Gated(runtime, model)
    yield run
    run.go_on.set()


def test_in_a_pipe_each_event_is_a_line(gated: Gated) -> None:
    text, lines = Watcher(gated.handle), Watcher(gated.handle, "-o", "jsonl")
    wait_until(lambda: text.out.count(b"\n") == 2 and lines.out.count(b"\n") == 2, "two events")
    gated.go_on.set()

    shown = text.end()
    assert [line.split(" ")[:3] for line in shown.splitlines()[:4]] == [
        ["step", "1"],
        ["", "", "→"],
        ["", "", "←"],
        ["step", "2"],
    ]
    assert "\x1b" not in shown.removesuffix(f"{HOSTILE}\n")
    assert shown.endswith(f"done\n{HOSTILE}\n")
    events = [json.loads(line) for line in lines.end().splitlines()]
    assert events == [event.to_json() for event in gated.handle.stream()]


def test_on_a_terminal_the_run_is_drawn(gated: Gated) -> None:
    watcher = Watcher(gated.handle, terminal=True)
    wait_until(lambda: b"doing    gate" in watcher.out, "the first picture")
    gated.go_on.set()
    screen = watcher.end()

    assert re.search(r"RUNNING  step 1 / 100  elapsed \d+s", screen)
    assert "→ gate  running for" in screen
    assert re.search(r"COMPLETED  step 2 / 100  elapsed \d+s", screen)
    assert screen.endswith("8 \\x1b[2J\\x9b [red]it[/red] is\r\n")
    assert "\x1b[2J" not in screen
    assert "\x9b" not in screen


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_ctrl_c_detaches_and_never_cancels(gated: Gated, terminal: bool) -> None:
    watcher = Watcher(gated.handle, terminal=terminal)
    wait_until(lambda: b"gate" in watcher.out, "the call")
    watcher.process.send_signal(signal.SIGINT)
    watcher.end(130)

    said = bytes(watcher.err).decode()
    assert "Detached. The run goes on" in said
    assert f"agent watch {gated.handle.execution_id}` comes back to it." in said
    assert "Traceback" not in said
    assert gated.handle.get_status().status == "RUNNING"
    gated.go_on.set()
    assert gated.handle.result(timeout=60).output == HOSTILE


def test_a_run_that_fails(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("refused", model=model.play([fail(400, "no such model")])), "Go.")

    assert "no such model" in Watcher(handle).end(3)


@pytest.mark.server
@pytest.mark.timeout(300)
def test_it_survives_a_restart_of_the_server(tmp_path: Path, model: Stage, model_stage: Stage) -> None:
    server = LocalServer(tmp_path, port=0, model_urls=model_stage.server.model_urls)
    with server, AgentRuntime(server.start().url) as runtime:
        run = Gated(runtime, model)
        lines, screen = Watcher(run.handle), Watcher(run.handle, terminal=True)
        wait_until(lambda: b"gate" in lines.out and b"gate" in screen.out, "the call")
        server.stop()
        wait_until(lambda: b"does not answer" in lines.err and b"does not answer" in screen.out, "the notice")
        server.start()
        run.go_on.set()

        assert lines.end().endswith(f"done\n{HOSTILE}\n")
        assert "COMPLETED  step 2 / 100" in screen.end()
        assert b"The server is back." in lines.err
