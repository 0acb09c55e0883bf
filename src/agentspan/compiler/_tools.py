"""What Conductor and the model are told of a tool."""

from __future__ import annotations

from typing import Any

from agentspan.agent import Agent
from agentspan.compiler._names import OWNER, tool_task_name
from agentspan.compiler._plan import COMPLETE
from agentspan.compiler._tasks import Json, literal
from agentspan.tool import Tool

MAX_DEATHS = 10
"""How often a call is handed to another worker after its worker died: Conductor's own limit."""

RESPONSE_TIMEOUT = 5
"""Seconds without a heartbeat after which a worker counts as dead; see docs/decisions/0005-worker.md."""

LEASE: Json = {
    "retryCount": MAX_DEATHS,
    "retryLogic": "FIXED",
    "retryDelaySeconds": 0,
    "timeoutSeconds": 0,
    "timeoutPolicy": "RETRY",
    "responseTimeoutSeconds": RESPONSE_TIMEOUT,
}
"""Conductor's own retries cover the deaths of workers, at once."""


def tool_definition(agent: Agent, tool: Tool[..., Any]) -> Json:
    """The task definition of a tool.

    Conductor's own retries cover the deaths of workers, at once; how often and when a tool that
    raised runs again is decided by the worker host, which knows the tool's policy.
    """
    definition: Json = {
        "name": tool_task_name(agent.name, tool.name),
        "description": tool.description,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        **LEASE,
        "inputKeys": ["args", "call_id", "execution_id", "max_bytes", "step"],
        "outputKeys": ["result", "error"],
    }
    if tool.concurrency is not None:
        definition["concurrentExecLimit"] = tool.concurrency
    if tool.rate_limit is not None:
        definition["rateLimitPerFrequency"] = tool.rate_limit.calls
        definition["rateLimitFrequencyInSeconds"] = tool.rate_limit.per_seconds
    return definition


def needs_mark(tool: Tool[..., Any]) -> bool:
    """Whether a tool could run without any of its arguments, so that arguments that were lost would not be missed."""
    return bool(tool.parameters["properties"]) and not tool.parameters["required"]


def without_mark(schema: Json | None) -> Json | None:
    """A tool's parameters as they were before `tool_spec` added a mark."""
    if schema is None or COMPLETE not in schema.get("properties", {}):
        return schema
    properties = {name: told for name, told in schema["properties"].items() if name != COMPLETE}
    return {**schema, "properties": properties, "required": [name for name in schema["required"] if name != COMPLETE]}


def tool_spec(tool: Tool[..., Any]) -> Json:
    schema = dict(tool.parameters)
    if needs_mark(tool):
        mark = {"type": "boolean", "description": "Always true."}
        schema |= {"properties": {**schema["properties"], COMPLETE: mark}, "required": [COMPLETE]}
    return {
        "name": tool.name,
        "type": "SIMPLE",
        "description": literal(tool.description),
        "inputSchema": literal(schema),
        "selfDescribing": True,
    }
