"""SIGKILL to workers and to the server while people think about what guardrails refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ModelSettings, Request
from agentspan.server import LocalServer
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import PATIENCE, Ledger, explained, kill, restart


@pytest.fixture
def declared(declared_in: Callable[[str], Any]) -> Agent:
    found = declared_in("asking_agent").agent
    assert isinstance(found, Agent)
    return found


def asked(handle: AgentHandle[str], before: list[Request]) -> Request:
    known = {request.id for request in before}
    wait_until(lambda: {request.id for request in handle.requests()} - known, "the next request", PATIENCE)
    return next(request for request in handle.requests() if request.id not in known)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", ["worker", "server"])
def test_workers_and_the_server_die_while_people_think(
    server: LocalServer, model: Stage, ledger: Ledger, declared: Agent, place: str
) -> None:
    settings = ModelSettings(base_url=model.server.openai_url) if place == "worker" else ModelSettings()
    agent = dataclasses.replace(
        declared,
        model=model.play([call("work", number=1), say("two"), say("three")]),
        model_settings=settings,
        model_place="worker" if place == "worker" else None,
    )
    target = f"asking_agent:{'agent' if place == 'worker' else 'served'}"
    ledger = dataclasses.replace(ledger, target=target, url=server.url)
    runtime = AgentRuntime(server.url)
    handle = runtime.start(agent, "one", serve=False)
    requests: list[Request] = []
    with explained(runtime, handle.execution_id):
        for what in ("prompt", "number", "result", "answer", "answer"):
            with ledger.worker() as worker:
                request = asked(handle, requests)
                worker.kill()
            requests.append(request)
            assert list(request.args) == [what]
            if what == "result":
                kill(server)
                restart(server)
            if what == "answer" and request.args == {"answer": "two"}:
                runtime.reject(request.id, "it is three", by="ann")
            else:
                runtime.approve(request.id, by="ann")
        with ledger.worker():
            assert handle.result(timeout=PATIENCE).output == "three"

    ledger.check_once_each([1])
    assert len(model.requests(agent.model)) == 3
    decided = [(event.step, event.approved) for event in handle.stream() if event.type == "decision"]
    assert decided == [(1, True), (1, True), (1, True), (2, False), (3, True)]
    assert [event.request_id for event in handle.stream() if event.request_id and event.type == "waiting"] == [
        request.id for request in requests
    ]
