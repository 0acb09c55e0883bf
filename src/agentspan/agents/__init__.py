"""The public names of agentspan.

Declaring an agent loads nothing of Conductor's client; `start`, `AgentRuntime` and what else
talks to a server are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan.agent import Agent, ContextBudget, ModelSettings
from agentspan.compiler import Definition, compile_agent
from agentspan.config import Settings, configure
from agentspan.errors import (
    AgentspanError,
    ConfigError,
    Conflict,
    DefinitionError,
    ExecutionError,
    ExecutionFailed,
    ExecutionTerminated,
    ExecutionTimedOut,
    InputError,
    LocalServerError,
    NotFound,
    OutputInvalid,
    RetryTool,
    ServerError,
    ServerRejected,
    ServerUnreachable,
    ToolError,
    ToolFailed,
    Unauthorized,
    WaitTimeout,
    WorkerError,
    WouldBlock,
)
from agentspan.events import Event
from agentspan.policy import RateLimit, Retry
from agentspan.result import AgentResult, AgentStatus, BusyWorker, MissingWorker, Usage
from agentspan.timeline import Attempt, ModelCall, Step, ToolCall
from agentspan.tool import Tool, ToolContext, current_tool_context, tool

if TYPE_CHECKING:
    from agentspan.handle import AgentHandle, EventStream
    from agentspan.runtime import AgentRuntime, run, start, stream

__all__ = [
    "Agent",
    "AgentHandle",
    "AgentResult",
    "AgentRuntime",
    "AgentStatus",
    "AgentspanError",
    "Attempt",
    "BusyWorker",
    "ConfigError",
    "Conflict",
    "ContextBudget",
    "Definition",
    "DefinitionError",
    "Event",
    "EventStream",
    "ExecutionError",
    "ExecutionFailed",
    "ExecutionTerminated",
    "ExecutionTimedOut",
    "InputError",
    "LocalServerError",
    "MissingWorker",
    "ModelCall",
    "ModelSettings",
    "NotFound",
    "OutputInvalid",
    "RateLimit",
    "Retry",
    "RetryTool",
    "ServerError",
    "ServerRejected",
    "ServerUnreachable",
    "Settings",
    "Step",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolFailed",
    "Unauthorized",
    "Usage",
    "WaitTimeout",
    "WorkerError",
    "WouldBlock",
    "compile_agent",
    "configure",
    "current_tool_context",
    "run",
    "start",
    "stream",
    "tool",
]

_LATE = {
    "AgentHandle": "agentspan.handle",
    "EventStream": "agentspan.handle",
    "AgentRuntime": "agentspan.runtime",
    "run": "agentspan.runtime",
    "start": "agentspan.runtime",
    "stream": "agentspan.runtime",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
