"""Hooks: what workers call before and after the calls of a model and of tools, on the real server."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    CallbackHandler,
    DefinitionError,
    ModelSettings,
    Retry,
    ToolFailed,
    compile_agent,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage


@tool(retry=Retry(2, delay=0))
def look(number: int) -> str:
    """Look at something."""
    if number == 1:
        raise ToolFailed("There is nothing.")
    return f"seen {number}"


class Watching(CallbackHandler):
    """Writes down what it is told; refuses the third look, and is broken at the end of the second step."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_agent_start(self, **given: Any) -> None:
        self.told.append(("agent", given["step"], given["agent_name"], given["execution_id"]))

    async def on_model_start(self, **given: Any) -> None:
        self.told.append(("model", given["step"]))

    def on_model_end(self, **given: Any) -> None:
        self.told.append(("said", given["step"], given["llm_result"]))
        if given["step"] == 2:
            raise RuntimeError("the hook is broken")

    def on_tool_start(self, **given: Any) -> None:
        self.told.append(("call", given["step"], given["tool_name"], given["args"]))
        if given["args"] == {"number": 2}:
            raise ToolFailed("Not the third one.")

    def on_tool_end(self, **given: Any) -> None:
        self.told.append(("gave", given["step"], given["result"], given["error"]))

    def on_agent_end(self, **given: Any) -> None:
        self.told.append(("answer", given["step"], given["result"]))


def test_workers_call_them(runtime: AgentRuntime, model: Stage) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", number=request.turn) if request.turn < 3 else say(str(request.tool_results[-1].output))

    settings = ModelSettings(base_url=model.server.openai_url)
    watching = Watching()
    name = model.play(reply)
    agent = Agent("hooked", model=name, model_place="worker", model_settings=settings, tools=[look], hooks=[watching])
    handle = runtime.start(agent, "Look.")

    assert "Not the third one." in str(handle.result(60).output)
    assert watching.told[:-1] == [
        ("agent", 1, "hooked", handle.execution_id),
        ("model", 1),
        ("said", 1, None),
        ("call", 1, "look", {"number": 0}),
        ("gave", 1, "seen 0", None),
        ("model", 2),
        ("said", 2, None),
        ("call", 2, "look", {"number": 1}),
        ("gave", 2, None, "There is nothing."),
        ("model", 3),
        ("said", 3, None),
        ("call", 3, "look", {"number": 2}),
        ("model", 4),
        ("said", 4, handle.result().output),
    ]
    assert watching.told[-1][:2] == ("answer", 4)
    plain = Agent("hooked", model=name, model_place="worker", model_settings=settings, tools=[look])
    assert compile_agent(plain).to_json() == compile_agent(agent).to_json()


def test_what_is_refused() -> None:
    with pytest.raises(DefinitionError, match="hooks need a worker"):
        Agent("hooked_server", model="openai/gpt-4o", model_place="server", hooks=[Watching()])
    with pytest.raises(DefinitionError, match="hooks are objects of a subclass of CallbackHandler"):
        Agent("hooked_odd", model="openai/gpt-4o", hooks=[print])  # type: ignore[list-item]
