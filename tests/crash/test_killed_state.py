"""SIGKILL to workers in the middle of calls that share a state: what finished counts once, and nothing is forgotten."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import pytest

from agentspan.agents import AgentRuntime, ModelSettings
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import HERE, Ledger, explained


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
                wait_until(lambda number=number: ledger.ended()[number - 1] > 0, f"call {number - 1} to end", 60)  # type: ignore[misc]
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
