"""The end of a program: calls finish or are handed back, whatever they need for that, and nothing is said twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

PROGRAM = '''
import asyncio, os, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from agentspan.agents import Agent, Retry, start, tool

begun = Path("begun")

def note():
    with begun.open("a") as file:
        file.write("x")

@tool
async def awaits() -> str:
    """Wait."""
    note()
    await asyncio.sleep(2)
    return await asyncio.to_thread(lambda: "done in time")

@tool(retry=Retry(1))
def uses_executors() -> str:
    """Wait."""
    note()
    time.sleep(2)
    with ThreadPoolExecutor() as threads:
        echo = threads.submit(subprocess.run, ["echo", "done in time"], capture_output=True, text=True)
        return echo.result().stdout.strip()

@tool(retry=Retry(1), timeout=20)
def has_a_limit() -> str:
    """Wait."""
    note()
    time.sleep(2)
    return asyncio.run(asyncio.sleep(0, "done in time"))

@tool
def hangs() -> str:
    """Wait for long."""
    note()
    time.sleep(60)
    return "late"

chosen = {"awaits": awaits, "uses_executors": uses_executors, "has_a_limit": has_a_limit, "hangs": hangs}[sys.argv[1]]
handle = start(Agent("ending_" + sys.argv[1], model=sys.argv[2], tools=[chosen]), "Go.")
print(handle.execution_id, flush=True)
while not begun.exists():
    time.sleep(0.02)
if sys.argv[3] == "raises":
    raise ValueError("the end of main")
if sys.argv[3] == "exits":
    sys.exit(3)
'''


class Program:
    """The program above, in a process of its own."""

    def __init__(self, folder: Path, url: str, chosen: str, model: str, end: str) -> None:
        self.folder = folder
        environment = {**os.environ, "AGENTSPAN_SERVER_URL": url, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, chosen, model, end],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.execution_id = self._process.stdout.readline().strip()

    def wait_until_begun(self) -> None:
        wait_until((self.folder / "begun").exists, "the tool to begin")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        _, err = self._process.communicate(timeout=60)
        return self._process.returncode, err


@pytest.mark.parametrize(
    ("chosen", "end"),
    [
        ("awaits", "returns"),
        ("awaits", "exits"),
        ("awaits", "raises"),
        ("uses_executors", "returns"),
        ("has_a_limit", "returns"),
    ],
)
def test_a_call_at_work_finishes_when_main_ends(
    runtime: AgentRuntime, model: Stage, conductor_url: str, tmp_path: Path, chosen: str, end: str
) -> None:
    name = model.play([call(chosen), say("done")])
    program = Program(tmp_path, conductor_url, chosen, name, end)
    code, err = program.end()

    assert code == {"returns": 0, "exits": 3, "raises": 1}[end], err
    assert "ignored" not in err
    assert ("ValueError: the end of main" in err) == (end == "raises")
    assert "waiting up to 30 s for 1 tool calls to finish" in err
    handle = AgentHandle(program.execution_id, runtime)
    assert handle.result(timeout=60).output == "done"
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["done in time"]
    assert (tmp_path / "begun").read_text() == "x"


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_hands_back_what_is_at_work(
    runtime: AgentRuntime, model: Stage, conductor_url: str, tmp_path: Path, times: int
) -> None:
    name = model.play([call("hangs"), say("done")])
    program = Program(tmp_path, conductor_url, "hangs", name, "returns")
    program.wait_until_begun()
    assert program._process.stderr is not None
    assert "Ctrl-C hands them back" in program._process.stderr.readline()
    for _ in range(times):
        program.interrupt()
    code, err = program.end()

    assert "ignored" not in err
    assert "Traceback" not in err
    assert code in (0, 130, -signal.SIGINT)

    @tool
    def hangs() -> str:
        """Wait for long."""
        return "at once"

    runtime.serve(Agent("ending_hangs", model=name, tools=[hangs]), blocking=False)
    handle = AgentHandle(program.execution_id, runtime)
    assert handle.result(timeout=60).output == "done"
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["at once"]
    if times == 1:
        assert "tool_retry" not in {event.type for event in handle.stream()}, "it was handed back, not given up"
