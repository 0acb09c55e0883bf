"""SIGKILL to workers in the middle of calls that share a state: what finished counts once, and nothing is forgotten."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import pytest

from agentspan.agents import AgentHandle, AgentRuntime, ModelSettings, agent_tool
from agentspan.reading.run import newest_segment_id
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import HERE, Ledger, explained


def is_stored(handle: AgentHandle[Any], number: int) -> bool:
    """Whether the server has the result of a call: one that has only ended would be made again."""
    client = handle.runtime.client
    segment = newest_segment_id(client.workflow(handle.execution_id))
    ended = (task for task in client.workflow(segment or handle.execution_id).tasks if task.status == "COMPLETED")
    return any(task.kind == "tool" and task.input_data["args"]["number"] == number for task in ended)


def test_a_state_outlives_its_workers(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls a turn, over two segments; a worker dies in the middle of a turn, and the next knows nothing."""
    monkeypatch.syspath_prepend(HERE)
    agent: Any = import_module("state_agent").agent

    def reply(request: ModelRequest) -> Reply:
        first = 2 * request.turn
        if request.turn == 10:
            return say("done")
        slow = 60.0 if first in (4, 14) else 0.0
        return calls(call("work", number=first, seconds=0.0), call("work", number=first + 1, seconds=slow))

    settings = ModelSettings(base_url=model.server.openai_url)
    agent = dataclasses.replace(agent, model=model.play(reply), model_settings=settings)
    ledger = dataclasses.replace(ledger, target="state_agent:agent")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        for number in (5, 15):
            with ledger.worker() as worker:
                wait_until(lambda number=number: ledger.begun()[number] > 0, f"call {number} to begin", 60)  # type: ignore[misc]
                wait_until(lambda number=number: is_stored(handle, number - 1), f"call {number - 1} to be stored", 60)  # type: ignore[misc]
                worker.kill()
        with ledger.worker():
            assert handle.result(timeout=120).output == "done"

    ledger.check_once_each(range(20))
    state = handle.state()
    assert state.done == list(range(20))
    assert state.last == 19
    attempts = {number for number, attempt in state.by.items() if attempt > 1}
    assert {"5", "15"} <= attempts <= {"4", "5", "14", "15"}
    assert [change.overwrote for change in handle.state_changes() if change.field == "last"] == [(), ("work",)] * 10
    assert len({request.system for request in model.requests(agent.model)}) == 1


def test_a_state_that_agents_share_outlives_their_workers(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies inside of a called agent, the next one in a call of the agent that took over and called it."""
    monkeypatch.syspath_prepend(HERE)
    agents = import_module("state_agent")

    def handing(request: ModelRequest) -> Reply:
        return calls(call("work", number=0, seconds=0.0), call("transfer_to_state_taking"))

    def taking(request: ModelRequest) -> Reply:
        if request.turn == 1:
            return calls(call("state_called", request="Go."), call("work", number=1, seconds=0.0))
        return call("work", number=4, seconds=60.0) if request.turn == 2 else say("done")

    def called(request: ModelRequest) -> Reply:
        if request.turn == 2:
            return say("did")
        return call("work", number=2 + request.turn, seconds=60.0 * request.turn)

    def played(agent: Any, script: Any, **options: Any) -> Any:
        settings = ModelSettings(base_url=model.server.openai_url)
        return dataclasses.replace(agent, model=model.play(script), model_settings=settings, **options)

    inner = played(agents.called, called)
    taker = played(agents.taking, taking, tools=[agents.work, agent_tool(inner, state="shared")])
    agent = played(agents.handing, handing, handoffs=[taker])
    ledger = dataclasses.replace(ledger, target="state_agent:handing")
    handle = runtime.start(agent, "Go.", serve=False)
    with explained(runtime, handle.execution_id):
        for number in (3, 4):
            with ledger.worker() as worker:
                wait_until(lambda number=number: ledger.begun()[number] > 0, f"call {number} to begin", 60)  # type: ignore[misc]
                wait_until(lambda: ledger.ended()[1] > 0, "the call beside it to end", 60)
                worker.kill()
        with ledger.worker():
            assert handle.result(timeout=120).output == "done"

    ledger.check_once_each(range(5))
    assert runtime.handle(handle.execution_id, agent).state().done == [0, 2, 3, 1, 4]
    assert [change.tool for change in handle.state_changes() if change.field == "done"] == [
        "work",
        "state_called",
        "work",
        "work",
    ]
    assert len({request.system for each in (taker, inner) for request in model.requests(each.model)}) == 2
