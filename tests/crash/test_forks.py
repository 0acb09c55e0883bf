"""Forked children: each is a process of its own, whatever its parent was doing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ToolContext, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # What is tested here is what CPython warns of.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def in_children(count: int, work: Callable[[int], str], folder: Path) -> list[str]:
    """What `work` gives in each of several forked children."""
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                (folder / str(number)).write_text(work(number))
            except BaseException as error:  # noqa: BLE001 - it is told
                (folder / str(number)).write_text(f"{type(error).__name__}: {error}")
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        wait_until(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0], f"child {pid} to end", 90)
    return [(folder / str(number)).read_text() for number in range(count)]


@tool
def double(number: int) -> int:
    """Double it."""
    return 2 * number


def doubling(request: ModelRequest) -> Reply:
    return call("double", number=4) if request.turn == 0 else say("eight")


def test_children_read_runs_over_connections_of_their_own(runtime: AgentRuntime, model: Stage, tmp_path: Path) -> None:
    handles = [
        runtime.start(Agent(f"greeter_{number}", model=model.play([say(f"hello {number}")])), "Hi.")
        for number in range(6)
    ]
    for handle in handles:
        handle.result(timeout=60)

    def read(number: int) -> str:
        ids = [AgentHandle(handles[number].execution_id, runtime).result(timeout=60).output for _ in range(30)]
        return ",".join(set(ids))

    assert in_children(6, read, tmp_path) == [f"hello {number}" for number in range(6)]


def test_children_run_agents_while_their_parent_serves(runtime: AgentRuntime, model: Stage, tmp_path: Path) -> None:
    agent = Agent("doubling", model=model.play(doubling), tools=[double])
    assert runtime.run(agent, "Double 4.", timeout=60).output == "eight"

    def run(number: int) -> str:
        try:
            return runtime.run(agent, f"Double 4, child {number}.", timeout=60).output
        finally:
            runtime.shutdown()

    assert in_children(3, run, tmp_path) == ["eight"] * 3
    assert runtime.run(agent, "Double 4 once more.", timeout=60).output == "eight"


@pytest.mark.parametrize("how", ["returns", "exits", "raises"])
def test_a_child_that_a_tool_forks_says_nothing_of_its_parents_call(
    runtime: AgentRuntime, model: Stage, tmp_path: Path, how: str
) -> None:
    begun: list[int] = []

    @tool
    def forks(number: int, context: ToolContext) -> str:
        """Fork."""
        begun.append(context.attempt)
        pid = os.fork()
        if pid == 0:
            context.heartbeat()
            if how == "exits":
                sys.exit(3)
            if how == "raises":
                raise ValueError("in the child")
            return "the child"
        _, status = os.waitpid(pid, 0)
        time.sleep(1)  # what the child might say is said by now
        return f"child ended with {os.waitstatus_to_exitcode(status)}"

    asked = calls(call("forks", number=1), call("double", number=2))
    agent = Agent(f"forking_{how}", model=model.play([asked, say("done")]), tools=[forks, double])
    handle = runtime.start(agent, "Go.")

    assert handle.result(timeout=60).output == "done"
    code = {"returns": 0, "exits": 3, "raises": 1}[how]
    results = [event.result for event in handle.stream() if event.type == "tool_result"]
    assert results == [f"child ended with {code}", 4]
    assert begun == [1]
    assert "tool_retry" not in {event.type for event in handle.stream()}


def test_a_call_outlives_the_child_of_a_lock_that_is_held(runtime: AgentRuntime, model: Stage, tmp_path: Path) -> None:
    """Forked while other threads of the parent start runs: no lock of theirs is waited for in the child."""
    agent = Agent("busy_parent", model=model.play(doubling), tools=[double])
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            runtime.run(agent, "Double 4.", timeout=60)

    threads = [threading.Thread(target=keep_busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            folder = tmp_path / str(number)
            folder.mkdir()

            def work(child: int) -> str:
                try:
                    return runtime.run(agent, "Double 4.", timeout=60).output
                finally:
                    runtime.shutdown()

            assert in_children(1, work, folder) == ["eight"]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
