"""What Conductor and the model are told of a tool."""

from __future__ import annotations

from math import ceil
from typing import Any

from agentspan.compiler._tasks import Json, literal
from agentspan.declare.agent import Agent
from agentspan.declare.tool import Tool
from agentspan.stored.lease import LEASE
from agentspan.stored.mark import COMPLETE
from agentspan.stored.names import OWNER, tool_task_name

EXTERNAL_TIMEOUT = 60
"""Seconds that an attempt of an external tool may take without a report, unless the tool says another time."""

_BACKOFFS = {"fixed": "FIXED", "linear": "LINEAR_BACKOFF", "exponential": "EXPONENTIAL_BACKOFF"}


def tool_definition(agent: Agent, tool: Tool[..., Any]) -> Json:
    """The task definition of a tool.

    Conductor's own retries cover the deaths of workers, at once; how often and when a tool that
    raised runs again is decided by the worker host, which knows the tool's policy.
    """
    definition = task_definition(
        tool_task_name(agent.name, tool.name),
        tool.description,
        inputs=["args", "call_id", "execution_id", "max_bytes", "step"],
        outputs=["result", "error"],
    )
    if tool.external:
        definition |= _external(tool)
    if tool.concurrency is not None:
        definition["concurrentExecLimit"] = tool.concurrency
    if tool.rate_limit is not None:
        definition["rateLimitPerFrequency"] = tool.rate_limit.calls
        definition["rateLimitFrequencyInSeconds"] = tool.rate_limit.per_seconds
    return definition


def _external(tool: Tool[..., Any]) -> Json:
    """Conductor makes the tries, and waits for a report as long as an attempt may take."""
    return {
        "retryCount": tool.retry.attempts - 1,
        "retryLogic": _BACKOFFS[tool.retry.backoff],
        "retryDelaySeconds": ceil(tool.retry.delay),
        "responseTimeoutSeconds": EXTERNAL_TIMEOUT if tool.timeout is None else int(tool.timeout),
    }


def task_definition(name: str, description: str, *, inputs: list[str], outputs: list[str]) -> Json:
    """The task definition of what a worker serves under a lease."""
    return {
        "name": name,
        "description": description,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        **LEASE,
        "inputKeys": inputs,
        "outputKeys": outputs,
    }


def tool_tasks(agent: Agent) -> dict[str, str]:
    """The task definition of each tool, by its name."""
    return {tool.name: tool_task_name(agent.name, tool.name) for tool in agent.tools}


def limited(agent: Agent) -> list[str]:
    """Tools that only a fork can call: with a limit or a lease in their definition, or with a workflow of their own."""
    return [tool.name for tool in agent.tools if tool.concurrency or tool.rate_limit or tool.external or is_part(tool)]


def is_part(tool: Tool[..., Any]) -> bool:
    """Whether a call is a workflow of its own, which only a fork can begin: it needs a person, or is another agent."""
    return tool.asks_first or tool.question is not None or tool.agent is not None


def needs_mark(tool: Tool[..., Any]) -> bool:
    """Whether a tool could run without any of its arguments, so that arguments that were lost would not be missed."""
    return bool(tool.parameters["properties"]) and not tool.parameters["required"]


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
