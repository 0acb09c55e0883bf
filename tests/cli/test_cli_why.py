"""`agentspan agent why`: each thing that a run can wait for, caused on the real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import Agent, AgentHandle, AgentRuntime, Retry, ToolContext, tool
from agentspan.cli import main
from agentspan.testing import call, calls, fail, hang, say, wait_until
from agentspan.testing.plugin import Stage

REASON = {
    "kind": str,
    "text": str,
    "since": str,
    "tool": str | None,
    "worker": str | None,
    "next": list,
}


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def text_of(handle: AgentHandle) -> str:
    result = CliRunner().invoke(
        main, ["--server", handle.runtime.settings.server_url, "agent", "why", handle.execution_id]
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def reasons_of(handle: AgentHandle) -> list[dict[str, Any]]:
    words = ["--server", handle.runtime.settings.server_url, "agent", "why", handle.execution_id]
    whole = json.loads(CliRunner().invoke(main, [*words, "-o", "json"]).stdout)
    assert whole["execution_id"] == handle.execution_id
    for reason in whole["reasons"]:
        assert list(reason) == list(REASON)
        for name, kind in REASON.items():
            assert isinstance(reason[name], kind), name
    return list(whole["reasons"])


def becomes(handle: AgentHandle, kind: str) -> dict[str, Any]:
    """The only reason, once it is of this kind."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = reasons_of(handle)
        return [reason["kind"] for reason in found] == [kind]

    wait_until(there, f"the reason to be {kind}")
    return found[0]


@tool
def never() -> str:
    """Served by nobody."""
    return ""


def test_no_worker_and_paused(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("unserved", model=model.play([call("never"), say("x")]), tools=[never])
    handle = runtime.start(agent, "Go.", serve=False)

    reason = becomes(handle, "missing_worker")
    assert (reason["tool"], reason["worker"]) == ("never", None)
    assert "none has ever asked for it" in reason["text"]
    url = runtime.settings.server_url
    assert reason["next"] == [
        f"agentspan --server {url} worker start MODULE:AGENT    with the agent unserved",
        f"agentspan --server {url} agent answer {handle.execution_id} never VALUE    gives its result by hand",
    ]
    assert f"  next     {reason['next'][0]}\n" in text_of(handle)
    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits")
    words = ["--server", url, "agent", "status", handle.execution_id, "--exit-status"]
    assert CliRunner().invoke(main, words).exit_code == 8, "a worker is missing"

    handle.pause()
    first, second = reasons_of(handle)
    assert (first["kind"], second["kind"]) == ("paused", "missing_worker")
    assert first["next"] == [f"agentspan --server {url} agent resume {handle.execution_id}"]

    handle.cancel("enough")
    (over,) = reasons_of(handle)
    assert over["kind"] == "cancelled"
    assert over["text"] == "It was cancelled: enough"


def test_a_running_tool_with_its_progress(runtime: AgentRuntime, model: Stage, go_on: threading.Event) -> None:
    @tool
    def slow(context: ToolContext) -> str:
        """Wait."""
        context.progress("half\x1b[2J done")
        go_on.wait(60)
        return "done"

    handle = runtime.start(Agent("slow", model=model.play([call("slow"), say("ready")]), tools=[slow]), "Go.")
    reason = becomes(handle, "tool_running")
    assert reason["worker"] == runtime._serving.host().worker_id
    wait_until(lambda: "It says: half" in text_of(handle), "the progress")
    assert f"The worker {reason['worker']} runs slow, since " in text_of(handle)
    assert "half\\x1b[2J done" in text_of(handle)
    assert reason["next"] == []

    go_on.set()
    handle.result(timeout=60)
    over = becomes(handle, "answered")
    assert f"agent result {handle.execution_id}` prints it" in over["text"]


def test_a_tool_that_waits_for_its_next_try(runtime: AgentRuntime, model: Stage) -> None:
    @tool(retry=Retry(attempts=2, delay=600))
    def moody() -> str:
        """Fail."""
        raise OSError("not now")

    handle = runtime.start(Agent("moody", model=model.play([call("moody"), say("x")]), tools=[moody]), "Go.")
    reason = becomes(handle, "tool_retry")
    handle.cancel()

    assert reason["tool"] == "moody"
    assert reason["text"].startswith("Attempt 1 of moody failed: OSError: not now The next one is due in ")


def test_calls_that_wait_for_a_limit(runtime: AgentRuntime, model: Stage, go_on: threading.Event) -> None:
    @tool(concurrency=1)
    def narrow(number: int) -> int:
        """One at a time."""
        go_on.wait(60)
        return number

    script = [calls(call("narrow", number=1), call("narrow", number=2)), say("ready")]
    handle = runtime.start(Agent("narrow", model=model.play(script), tools=[narrow]), "Go.")

    def kinds() -> list[str]:
        return sorted(reason["kind"] for reason in reasons_of(handle))

    wait_until(lambda: kinds() == ["tool_queued", "tool_running"], "one to run and one to wait")
    wait_until(lambda: "its limits are reached" in text_of(handle), "the reason to tell of limits")
    handle.cancel()


def test_a_model_that_is_silent(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([hang(60)])
    handle = runtime.start(Agent("silent", model=name), "Go.")
    reason = becomes(handle, "model_running")
    handle.cancel()

    assert reason["text"].startswith(f"{name} has not answered yet, since ")


def test_a_model_that_fails_now_and_for_good(runtime: AgentRuntime, model: Stage) -> None:
    patient = Agent(
        "patient", model=model.play(lambda request: fail(500, "overloaded")), model_retry=Retry(3, delay=600)
    )
    waiting = runtime.start(patient, "Go.")
    refused = runtime.start(Agent("refused", model=model.play([fail(401, "no such key")]), model_retry=Retry(1)), "Go.")

    failed = becomes(refused, "failed")
    assert failed["text"] == "It failed: The model's provider answered 401: no such key"
    hint, command = failed["next"]
    assert "provider's key" in hint
    assert f"agent retry {refused.execution_id}    goes on at the very call that failed" in command
    reason = becomes(waiting, "model_retry")
    assert "failed: The model's provider answered 500: overloaded Attempt 2 is due in " in reason["text"]
    waiting.cancel()


def test_out_of_turns(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("eager", model=model.play(lambda request: call("never")), tools=[never], max_turns=1)
    handle = runtime.start(agent, "Go.")

    reason = becomes(handle, "out_of_turns")
    assert reason["text"] == "It used all of its 1 steps and still asked for a tool."
    assert reason["next"] == ["Start a new run with a larger max_turns."]


def test_an_answered_run_names_the_command_that_prints_it(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("answered", model=model.play([say("hello")])), "Go.")
    handle.result(timeout=60)

    said = text_of(handle)
    assert f"agentspan --server {runtime.settings.server_url} agent result {handle.execution_id}" in said


def test_reasons_as_lines(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("quick", model=model.play([say("hello")])), "Go.")
    handle.result(timeout=60)
    words = ["--server", runtime.settings.server_url, "agent", "why", handle.execution_id, "-o", "jsonl"]

    (line,) = CliRunner().invoke(main, words).stdout.splitlines()
    assert json.loads(line)["kind"] == "answered"
