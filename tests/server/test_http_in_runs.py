"""Runs whose tools are HTTP requests."""

from __future__ import annotations

import dataclasses

import pytest

from agentspan.agents import Agent, AgentRuntime, Retry, api_tool, http_tool
from agentspan.testing import call, calls, say
from agentspan.testing.plugin import Stage
from tests.unit.little_site import Site


def test_a_run_makes_requests(runtime: AgentRuntime, model: Stage, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "k-1234567")
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/orders/{id}": {"get": {"operationId": "orders.get", "parameters": [{"name": "id", "in": "path"}]}},
            "/orders": {
                "post": {
                    "operationId": "order",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
                }
            },
        },
    }
    weather = http_tool(
        "weather", "The weather.", site.url + "/{city}", headers={"X-Key": "${SHOP_KEY}"}, retry=Retry(3, delay=0)
    )
    name = model.play(
        [
            call("weather", city="Oslo"),
            calls(call("shop_orders_get", id=7), call("weather"), call("weather", city="x", days=2)),
            call("shop_order", body={"method": "post", "text": "plain"}),
            say("done"),
        ]
    )
    tools = [weather, api_tool(document, base_url=site.url, prefix="shop_")]
    site.will(503, "closed", Retry_After="0")
    site.will(200, '{"sky": "k-1234567"}')
    site.will(404, '{"no": "order"}')
    site.will(500, "oh")
    agent = Agent("requester", model=name, tools=tools)

    handle = runtime.start(agent, "Go.")

    assert handle.result(timeout=60).output == "done"
    first, second, third = ([each.output for each in asked.tool_results] for asked in model.requests(name)[1:])
    assert first == [{"result": {"sky": "***"}}]
    assert second[0]["error"].endswith('/orders/{id} answered 404 Not Found: {"no": "order"}')
    assert "city: missing" in second[1]["error"]
    assert "days: unknown; the tool takes city" in second[2]["error"]
    assert third[0]["error"].endswith("/orders answered 500 Internal Server Error: oh")
    assert [asked["path"] for asked in site.asked] == ["/Oslo", "/Oslo", "/orders/7", "/orders"]
    assert site.asked[-1]["body"] == '{"method":"post","text":"plain"}'
    assert site.asked[-1]["headers"]["Idempotency-Key"].startswith(f"{handle.execution_id}/3/")
    (retry,) = [event for event in handle.stream() if event.type == "tool_retry"]
    assert "answered 503 Service Unavailable: closed" in retry.error
    stored = str([dataclasses.asdict(step) for step in handle.steps()])
    assert "k-1234567" not in stored
    assert "k-1234567" not in str(runtime.client.workflow_definition("requester", runtime.register(agent)))
