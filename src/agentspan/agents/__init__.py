"""The public names of agentspan.

Declaring an agent loads nothing of Conductor's client; `start`, `AgentRuntime` and what else
talks to a server are loaded when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentspan.compat import AgentConfig, plan
from agentspan.compiler import Definition, compile_agent
from agentspan.config import Settings, configure
from agentspan.declare.agent import Agent
from agentspan.declare.callbacks import CallbackHandler
from agentspan.declare.content import File, Image
from agentspan.declare.guardrail import (
    Guardrail,
    GuardrailResult,
    LLMGuardrail,
    OnFail,
    Position,
    RegexGuardrail,
    guardrail,
)
from agentspan.declare.memory import ConversationMemory
from agentspan.declare.policy import RateLimit, Retry
from agentspan.declare.price import Price
from agentspan.declare.settings import ContextBudget, ModelSettings
from agentspan.declare.termination import (
    FunctionTermination,
    MaxMessageTermination,
    StopMessageTermination,
    Termination,
    TerminationContext,
    TextMentionTermination,
    TokenUsageTermination,
    ToolCallTermination,
)
from agentspan.declare.tool import Tool, ToolContext, current_tool_context, tool
from agentspan.errors import (
    AgentspanError,
    ConfigError,
    Conflict,
    DefinitionError,
    ExecutionError,
    ExecutionFailed,
    ExecutionTerminated,
    ExecutionTimedOut,
    GuardrailError,
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
    UnknownFormat,
    WaitTimeout,
    WorkerError,
    WouldBlock,
)
from agentspan.reading.events import (
    AnyEvent,
    Event,
    EventType,
    GuardrailFailed,
    GuardrailPassed,
    ModelRetried,
    ModelSaid,
    ModelThought,
    Resumed,
    RunDone,
    RunFailed,
    StepBegan,
    TextDelta,
    TextVoided,
    ToolCalled,
    ToolRetried,
    ToolReturned,
    Waiting,
)
from agentspan.reading.reasons import BusyWorker, MissingWorker, Reason
from agentspan.reading.result import AgentResult, AgentStatus
from agentspan.reading.timeline import Attempt, ModelCall, Step, ToolCall
from agentspan.stored.said import PassedOver
from agentspan.stored.status import FinishReason, Status
from agentspan.stored.usage import Usage

if TYPE_CHECKING:
    from agentspan.runtime.handle import AgentHandle
    from agentspan.runtime.runtime import AgentRuntime
    from agentspan.runtime.shared import run, run_async, start, start_async, stream, stream_async
    from agentspan.runtime.stream import EventStream

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentHandle",
    "AgentResult",
    "AgentRuntime",
    "AgentStatus",
    "AgentspanError",
    "AnyEvent",
    "Attempt",
    "BusyWorker",
    "CallbackHandler",
    "ConfigError",
    "Conflict",
    "ContextBudget",
    "ConversationMemory",
    "Definition",
    "DefinitionError",
    "Event",
    "EventStream",
    "EventType",
    "ExecutionError",
    "ExecutionFailed",
    "ExecutionTerminated",
    "ExecutionTimedOut",
    "File",
    "FinishReason",
    "FunctionTermination",
    "Guardrail",
    "GuardrailError",
    "GuardrailFailed",
    "GuardrailPassed",
    "GuardrailResult",
    "Image",
    "InputError",
    "LLMGuardrail",
    "LocalServerError",
    "MaxMessageTermination",
    "MissingWorker",
    "ModelCall",
    "ModelRetried",
    "ModelSaid",
    "ModelSettings",
    "ModelThought",
    "NotFound",
    "OnFail",
    "OutputInvalid",
    "PassedOver",
    "Position",
    "Price",
    "RateLimit",
    "Reason",
    "RegexGuardrail",
    "Resumed",
    "Retry",
    "RetryTool",
    "RunDone",
    "RunFailed",
    "ServerError",
    "ServerRejected",
    "ServerUnreachable",
    "Settings",
    "Status",
    "Step",
    "StepBegan",
    "StopMessageTermination",
    "Termination",
    "TerminationContext",
    "TextDelta",
    "TextMentionTermination",
    "TextVoided",
    "TokenUsageTermination",
    "Tool",
    "ToolCall",
    "ToolCallTermination",
    "ToolCalled",
    "ToolContext",
    "ToolError",
    "ToolFailed",
    "ToolRetried",
    "ToolReturned",
    "Unauthorized",
    "UnknownFormat",
    "Usage",
    "WaitTimeout",
    "Waiting",
    "WorkerError",
    "WouldBlock",
    "compile_agent",
    "configure",
    "current_tool_context",
    "guardrail",
    "plan",
    "run",
    "run_async",
    "start",
    "start_async",
    "stream",
    "stream_async",
    "tool",
]

_LATE = {
    "AgentHandle": "agentspan.runtime.handle",
    "EventStream": "agentspan.runtime.stream",
    "AgentRuntime": "agentspan.runtime.runtime",
    "run": "agentspan.runtime.shared",
    "run_async": "agentspan.runtime.shared",
    "start": "agentspan.runtime.shared",
    "start_async": "agentspan.runtime.shared",
    "stream": "agentspan.runtime.shared",
    "stream_async": "agentspan.runtime.shared",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


class _Package(ModuleType):
    """Keeps what it exports: importing the submodule `tool` would put it in the place of the decorator."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
