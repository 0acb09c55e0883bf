"""docs/crash-and-resume.md does what it says: its snippets run unchanged but for addresses and ids."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, Retry, tool
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say
from agentspan.testing.plugin import Stage

from .conftest import Processes

ID = "exec-f8a2c1"


def chunks(request: ModelRequest) -> Reply:
    """Three chunks one by one, then the report."""
    if request.turn < 3:
        return call("analyze_chunk", chunk_id=request.turn + 1, data="good, fast")
    if request.turn == 3 and "aggregate_results" in {offered.name for offered in request.tools}:
        return call("aggregate_results", results=[result.output for result in request.tool_results])
    return say("Analysis complete.")


def slow_chunks(request: ModelRequest) -> Reply:
    """The chunks alone: the page's second definition of the agent does not serve the aggregation."""
    reply = chunks(request) if request.turn < 3 else say("Analysis complete.")
    return reply.after(0.5)


@pytest.fixture
def gpt(model: Stage) -> Stage:
    model.play(chunks, name="gpt-4o")
    return model


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)


def started_id(output: str) -> str:
    found = re.search(r"(?:Started|Job ID): (\S+)", output)
    assert found, output
    return found[1]


def test_fire_and_forget(processes: Processes, snippets: dict[str, str], gpt: Stage, conductor_url: str) -> None:
    output = processes.run(snippets["fire and forget"])

    assert "Status: RUNNING" in output
    assert "Current step: " in output
    handle = AgentHandle(execution_id=started_id(output), runtime=AgentRuntime(conductor_url))
    assert handle.get_status().max_steps == 100


def test_an_agent_without_tools_is_rejoined_by_its_id_alone(
    processes: Processes, snippets: dict[str, str], model: Stage, runtime: AgentRuntime
) -> None:
    agent = Agent("reconnected", model=model.play([say("Hello.").after(1.0)]))
    handle = runtime.start(agent, "Greet me.")

    output = processes.run(snippets["reconnect"].replace(ID, handle.execution_id))

    assert output == "Completed\n"


def test_an_agent_with_tools_goes_on_in_a_new_process(
    processes: Processes, snippets: dict[str, str], model: Stage, runtime: AgentRuntime
) -> None:
    model.play(slow_chunks, name="gpt-4o")
    first = processes.start(snippets["fire and forget"] + "\ntime.sleep(600)\n")
    assert first.stdout is not None
    execution_id = started_id(first.stdout.readline())
    handle = AgentHandle(execution_id, runtime)
    until(lambda: handle.get_status().step >= 2, "the second step")
    first.send_signal(signal.SIGKILL)

    output = processes.run(snippets["reconnect with tools"].replace(ID, execution_id), "rejoin.py")

    assert output == "RUNNING\nCompleted\n"
    events = list(handle.stream(timeout=30))
    done = [(event.args or {}).get("chunk_id") for event in events if event.type == "tool_call"][:3]
    assert done == [1, 2, 3], "no finished call is made again"
    assert events[-1].output == "Analysis complete."


def test_status_on_the_command_line(
    processes: Processes, snippets: dict[str, str], model: Stage, runtime: AgentRuntime, conductor_url: str
) -> None:
    @tool
    def wait_here(chunk_id: int, data: str) -> str:
        """Never served."""
        return data

    agent = Agent(
        "waiting_analyst",
        model=model.play([call("wait_here", chunk_id=1, data="x")]),
        tools=[wait_here],
        max_turns=3000,
    )
    handle = runtime.start(agent, "Go.", serve=False)
    until(lambda: handle.get_status().current_task == "wait_here", "the first tool call")
    command, _, shown = snippets["status"].replace(ID, handle.execution_id).partition("\n")

    words = command.split()
    output = subprocess.run(
        [sys.executable, "-m", "agentspan", "--server", conductor_url, *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    form = re.sub(r"847", r"1", shown.removeprefix("# "))
    form = re.escape(form).replace("4m32s", r"\d+s")
    assert re.fullmatch(form, output.splitlines()[0]), output
    handle.cancel("end of the test")


def test_worker_and_invoker_are_two_processes(
    processes: Processes, snippets: dict[str, str], gpt: Stage, runtime: AgentRuntime, conductor_url: str
) -> None:
    def addressed(code: str) -> str:
        return code.replace("http://agentspan-server:6767", conductor_url)

    worker = processes.start(addressed(snippets["worker.py"]), "worker.py")
    definition = addressed(snippets["worker.py"]).partition("runtime = ")[0]
    invoker = f"{definition}\n{addressed(snippets['invoker.py'])}"

    execution_id = started_id(processes.run(invoker, "invoker.py"))

    result = AgentHandle(execution_id, runtime).result(timeout=60)
    assert result.output == "Analysis complete."
    assert worker.poll() is None


def test_ensure_running_starts_no_duplicate(
    snippets: dict[str, str], model: Stage, runtime: AgentRuntime, conductor_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", conductor_url)
    names: dict[str, Callable[..., AgentHandle]] = {}
    exec(snippets["ensure running"], names)
    ensure = names["ensure_analysis_running"]
    agent = Agent("once", model=model.play([say("Done.").after(1.5)]))

    handle = ensure(None, agent, "Go.")
    again = ensure(handle.execution_id, agent, "Go.")
    handle.result(timeout=60)
    afterwards = ensure(handle.execution_id, agent, "Go.")

    assert handle.execution_id == again.execution_id == afterwards.execution_id


@pytest.mark.parametrize("state", ["PAUSED", "FAILED", "TERMINATED", "TIMED_OUT", "retried", "waiting"])
def test_ensure_running_starts_no_duplicate_of_a_run_in_any_state(
    snippets: dict[str, str],
    model: Stage,
    runtime: AgentRuntime,
    conductor_url: str,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    @tool
    def unserved() -> str:
        """Never served."""
        return ""

    monkeypatch.setenv("AGENTSPAN_SERVER_URL", conductor_url)
    names: dict[str, Callable[..., AgentHandle]] = {}
    exec(snippets["ensure running"], names)
    reply = fail(400, "no") if state == "FAILED" else call("unserved")
    timeout = 2 if state == "TIMED_OUT" else None
    agent = Agent(
        "once_in_" + state,
        model=model.play(lambda _: reply),
        model_retry=Retry(1),
        tools=[unserved],
        timeout=timeout,
    )
    handle = runtime.start(agent, "Go.", serve=False)
    if state in ("PAUSED", "TERMINATED", "retried"):
        until(lambda: handle.get_status().current_task == "unserved", "the call")
    bring = {"PAUSED": [handle.pause], "TERMINATED": [handle.cancel], "retried": [handle.cancel, handle.retry]}
    for step in bring.get(state, []):
        step()
    if state in ("FAILED", "TIMED_OUT"):
        until(lambda: handle.get_status().status == state, state, 120)
    if state == "waiting":
        until(lambda: handle.get_status().is_waiting, "the status to say that it waits")

    assert names["ensure_analysis_running"](handle.execution_id, agent, "Go.").execution_id == handle.execution_id

    if not handle.get_status().is_complete:
        handle.cancel("end of the test")


@pytest.mark.parametrize("moment", ["in progress", "over"])
def test_the_event_loop(
    processes: Processes, snippets: dict[str, str], model: Stage, runtime: AgentRuntime, moment: str
) -> None:
    @tool
    def analyze_chunk(chunk_id: int) -> dict[str, int]:
        """Analyze a data chunk."""
        return {"chunk_id": chunk_id}

    two = calls(call("analyze_chunk", chunk_id=1), call("analyze_chunk", chunk_id=2))
    agent = Agent("streamed", model=model.play([two, say("Both done.").after(1.0)]), tools=[analyze_chunk])
    handle = runtime.start(agent, "Analyze.")
    if moment == "over":
        handle.result(timeout=60)

    output = processes.run(snippets["stream"].replace(ID, handle.execution_id))

    assert output.splitlines() == [
        "→ analyze_chunk({'chunk_id': 1})",
        "→ analyze_chunk({'chunk_id': 2})",
        "← analyze_chunk: {'chunk_id': 1}",
        "← analyze_chunk: {'chunk_id': 2}",
        "",
        "Result: Both done.",
    ]
