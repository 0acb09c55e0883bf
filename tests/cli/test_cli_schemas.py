"""The JSON of `agent status`, of events and of `worker check`: names, their order, and types."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ExecutionFailed, Retry, tool
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say
from agentspan.testing.plugin import Stage
from agentspan.worker.health import HealthFile

STATUS = {
    "execution_id": str,
    "agent": str,
    "status": str,
    "current_task": str | None,
    "step": int,
    "max_steps": int,
    "elapsed": float,
    "output": str | None,
    "error": str | None,
    "usage": dict,
    "missing_workers": list,
    "busy_workers": list,
    "waits": list,
    "is_running": bool,
    "is_waiting": bool,
    "is_complete": bool,
}
USAGE = {
    "prompt_tokens": int,
    "completion_tokens": int,
}
MISSING = {"tool": str, "task_name": str, "since": str, "last_poll": str | None, "mismatch": str | None}

EVENT = {"type": str, "execution_id": str, "seq": int, "step": int, "timestamp": str}
OF_CALL = {**EVENT, "call_id": str, "tool_name": str}
EVENTS = {
    "step": EVENT,
    "tool_call": {**OF_CALL, "args": dict},
    "tool_result": {**OF_CALL, "result": object},
    "tool_retry": {**OF_CALL, "error": str, "attempt": int},
    "model_retry": {**EVENT, "error": str, "attempt": int},
    "error": {**EVENT, "error": str, "attempt": int},
    "waiting": {**OF_CALL, "error": str},
    "resumed": EVENT,  # of a model's call; of a tool's call it has that, too
    "done": {**EVENT, "output": str},
}
REFUSED = {**EVENTS["tool_result"], "error": str}
"""A tool's result that is an error."""


def with_usage(shape: dict[str, Any]) -> dict[str, Any]:
    return {**EVENT, "usage": dict, **shape}


def assert_shape(value: dict[str, Any], shape: dict[str, Any]) -> None:
    assert list(value) == list(shape)
    for name, kind in shape.items():
        assert isinstance(value[name], kind), name


def printed(handle: AgentHandle, *words: str) -> str:
    server = ["--server", handle.runtime.settings.server_url, "agent"]
    return CliRunner().invoke(main, [*server, *words, handle.execution_id]).stdout


def status_of(handle: AgentHandle) -> dict[str, Any]:
    """Its status, in the form that it has at any time."""
    status: dict[str, Any] = json.loads(printed(handle, "status", "-o", "json"))
    assert_shape(status, STATUS)
    assert_shape(status["usage"], USAGE)
    for missing in status["missing_workers"]:
        assert_shape(missing, MISSING)
    return status


def test_a_run_from_its_wait_for_a_worker_to_its_answer(runtime: AgentRuntime, model: Stage) -> None:
    """Every kind of event, and the status between them."""
    broken = [True]
    tries: list[int] = []

    @tool(retry=Retry(2, delay=0))
    def flaky(number: int) -> int:
        """Fail once."""
        tries.append(number)
        if len(tries) == 1:
            raise OSError("no luck")
        return 2 * number

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return calls(call("flaky", number=4), call("nosuch"))
        return fail(401, "no such key") if broken[0] else say("8")

    agent = Agent("shaped", model=model.play(reply), tools=[flaky], model_retry=Retry(2, delay=0))
    handle = runtime.start(agent, "Go.", serve=False)
    assert [event.type for event in islice(handle.stream(timeout=60), 4)][-1] == "waiting"
    waiting = status_of(handle)
    (missing,) = waiting["missing_workers"]
    assert (missing["tool"], missing["task_name"]) == ("flaky", "shaped.flaky")
    assert [(reason["kind"], reason["tool"]) for reason in waiting["waits"]] == [("missing_worker", "flaky")]
    assert [waiting[name] for name in ("current_task", "is_running", "is_waiting")] == ["flaky", False, True]

    runtime.serve(agent, blocking=False)
    with pytest.raises(ExecutionFailed):
        handle.result(timeout=60)
    failed = status_of(handle)
    assert (failed["status"], failed["output"]) == ("FAILED", None)
    assert "no such key" in failed["error"]

    broken[0] = False
    handle.retry()
    handle.result(timeout=60)
    done = status_of(handle)
    assert [done[name] for name in ("status", "output", "error", "missing_workers")] == ["COMPLETED", "8", None, []]
    assert [done[name] for name in ("is_running", "is_waiting", "is_complete")] == [False, False, True]

    events = [json.loads(line) for line in printed(handle, "stream", "-o", "jsonl").splitlines()]
    assert [event["type"] for event in events] == [
        *("step", "tool_call", "tool_call", "waiting", "resumed", "tool_retry", "tool_result", "tool_result"),
        *("step", "model_retry", "error", "resumed", "done"),
    ]
    shapes = [EVENTS[event["type"]] for event in events]
    shapes[4], shapes[7] = OF_CALL, REFUSED
    shapes[1], shapes[-1] = with_usage(shapes[1]), with_usage(shapes[-1])  # the first ones after the model's answers
    for event, shape in zip(events, shapes, strict=True):
        assert_shape(event, shape)
    assert [event["seq"] for event in events] == list(range(1, 14))
    assert {event["execution_id"] for event in events} == {handle.execution_id}
    assert {datetime.fromisoformat(event["timestamp"]).tzinfo for event in events} == {UTC}
    assert json.loads(printed(handle, "stream", "-o", "json")) == events


def test_the_health_of_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "health"
    monkeypatch.setenv("AGENTSPAN_HEALTH_FILE", str(path))
    shape = {"pid": int, "turned": float, "answered": float}
    HealthFile(path).turned(answered=False)

    for form in ("json", "jsonl"):
        health = json.loads(CliRunner().invoke(main, ["worker", "check", "-o", form]).stdout)
        assert_shape(health, shape)
        assert (health["pid"], health["answered"]) == (os.getpid(), 0)
    assert CliRunner().invoke(main, ["worker", "check", "--ready"]).exit_code == 1
    HealthFile(path).turned(answered=True)
    ready = json.loads(CliRunner().invoke(main, ["worker", "check", "--ready", "-o", "json"]).stdout)
    assert ready["answered"] == ready["turned"]
