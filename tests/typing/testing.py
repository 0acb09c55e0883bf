"""A user's tests of an agent. Type checkers read it; it is never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from agentspan.agents import Agent, AgentRuntime
from agentspan.server import LocalServer, ServerState
from agentspan.testing import ModelRequest, Reply, ScriptedModel, WorkerProcess, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage


def reply(request: ModelRequest) -> Reply:
    if request.turn == 0:
        return calls(call("search", text="a"), call("search", {"text": "b"}))
    return say("Done.").after(0.1)


def test_an_agent(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(reply)
    assert_type(name, str)
    runtime.run(Agent("researcher", model=name), "Go.", timeout=60)
    assert_type(model.requests(name), list[ModelRequest])
    model.play([say("One."), fail(500)], provider="anthropic")
    model.play(["One."])  # type: ignore[list-item]


def test_it_survives(runtime: AgentRuntime, tmp_path: Path) -> None:
    with WorkerProcess("my_agents:agent", runtime.settings.server_url, cwd=tmp_path) as worker:
        wait_until(lambda: "ready" in worker.log, "the worker")
        worker.kill()


def with_a_server_of_its_own(folder: Path) -> None:
    with ScriptedModel([say("Hello.")]) as scripted, LocalServer(folder, model_urls=scripted.model_urls) as server:
        assert_type(server.url, str)
        assert_type(server.status(), ServerState | None)
