"""The public names of agentspan.

Declaring an agent loads nothing of Conductor's client; `start`, `AgentRuntime` and what else
talks to a server are loaded when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentspan.agents import _names
from agentspan.compat import AgentConfig, get_credential, plan
from agentspan.compiler import Definition, compile_agent
from agentspan.config import Settings, configure
from agentspan.declare.agent import Agent
from agentspan.declare.agent_tool import agent_tool
from agentspan.declare.approval import Approval, Request
from agentspan.declare.budget import Budget
from agentspan.declare.callbacks import CallbackHandler
from agentspan.declare.commands import CliConfig, CodeExecutionConfig
from agentspan.declare.content import File, Image
from agentspan.declare.guardrail import (
    Guardrail,
    GuardrailContext,
    GuardrailResult,
    LLMGuardrail,
    OnFail,
    Position,
    RegexGuardrail,
    guardrail,
)
from agentspan.declare.handoff import Handoff, HandoffContext, OnTextMention, OnToolResult, handoff
from agentspan.declare.human_tool import human_tool
from agentspan.declare.instructions import RunContext, StateTemplate
from agentspan.declare.memory import ConversationMemory
from agentspan.declare.policy import RateLimit, Retry
from agentspan.declare.price import Price
from agentspan.declare.settings import ContextBudget, ModelSettings
from agentspan.declare.strategy import Strategy
from agentspan.declare.team import Team, scatter_gather
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
from agentspan.declare.toolset import toolset
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
    BudgetNearlyUsed,
    Decided,
    Event,
    EventType,
    GuardrailFailed,
    GuardrailPassed,
    HandedOff,
    ModelRetried,
    ModelSaid,
    ModelThought,
    Resumed,
    RunDone,
    RunFailed,
    StepBegan,
    Summarised,
    TextDelta,
    TextVoided,
    ToolCalled,
    ToolRetried,
    ToolReturned,
    Waiting,
)
from agentspan.reading.ledger import CutOff, Effect
from agentspan.reading.reasons import BusyWorker, MissingWorker, Reason
from agentspan.reading.result import AgentResult, AgentStatus
from agentspan.reading.timeline import Attempt, ModelCall, Step, ToolCall
from agentspan.stored.person import Decision
from agentspan.stored.said import PassedOver
from agentspan.stored.state import StateChange
from agentspan.stored.status import FinishReason, Status
from agentspan.stored.usage import Usage

if TYPE_CHECKING:
    from agentspan.remote.http import http_tool
    from agentspan.remote.mcp import mcp_tool
    from agentspan.remote.oauth import OAuthClient
    from agentspan.remote.openapi import api_tool
    from agentspan.runtime.handle import AgentHandle
    from agentspan.runtime.runtime import AgentRuntime
    from agentspan.runtime.shared import (
        deploy,
        resume,
        run,
        run_async,
        serve,
        start,
        start_async,
        stream,
        stream_async,
    )
    from agentspan.runtime.stream import EventStream
    from agentspan.sandbox.limits import Container, ProcessLimits
    from agentspan.sandbox.tools import cli_tool, code_tool

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentHandle",
    "AgentResult",
    "AgentRuntime",
    "AgentStatus",
    "AgentspanError",
    "AnyEvent",
    "Approval",
    "Attempt",
    "Budget",
    "BudgetNearlyUsed",
    "BusyWorker",
    "CallbackHandler",
    "CliConfig",
    "CodeExecutionConfig",
    "ConfigError",
    "Conflict",
    "Container",
    "ContextBudget",
    "ConversationMemory",
    "CutOff",
    "Decided",
    "Decision",
    "Definition",
    "DefinitionError",
    "Effect",
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
    "GuardrailContext",
    "GuardrailError",
    "GuardrailFailed",
    "GuardrailPassed",
    "GuardrailResult",
    "HandedOff",
    "Handoff",
    "HandoffContext",
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
    "OAuthClient",
    "OnFail",
    "OnTextMention",
    "OnToolResult",
    "OutputInvalid",
    "PassedOver",
    "Position",
    "Price",
    "ProcessLimits",
    "RateLimit",
    "Reason",
    "RegexGuardrail",
    "Request",
    "Resumed",
    "Retry",
    "RetryTool",
    "RunContext",
    "RunDone",
    "RunFailed",
    "ServerError",
    "ServerRejected",
    "ServerUnreachable",
    "Settings",
    "StateChange",
    "StateTemplate",
    "Status",
    "Step",
    "StepBegan",
    "StopMessageTermination",
    "Strategy",
    "Summarised",
    "Team",
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
    "agent_tool",
    "api_tool",
    "cli_tool",
    "code_tool",
    "compile_agent",
    "configure",
    "current_tool_context",
    "deploy",
    "get_credential",
    "guardrail",
    "handoff",
    "http_tool",
    "human_tool",
    "mcp_tool",
    "plan",
    "resume",
    "run",
    "run_async",
    "scatter_gather",
    "serve",
    "start",
    "start_async",
    "stream",
    "stream_async",
    "tool",
    "toolset",
]

_LATE = {
    "Container": "agentspan.sandbox.limits",
    "ProcessLimits": "agentspan.sandbox.limits",
    "cli_tool": "agentspan.sandbox.tools",
    "code_tool": "agentspan.sandbox.tools",
    "AgentHandle": "agentspan.runtime.handle",
    "api_tool": "agentspan.remote.openapi",
    "http_tool": "agentspan.remote.http",
    "mcp_tool": "agentspan.remote.mcp",
    "OAuthClient": "agentspan.remote.oauth",
    "EventStream": "agentspan.runtime.stream",
    "AgentRuntime": "agentspan.runtime.runtime",
    "deploy": "agentspan.runtime.shared",
    "resume": "agentspan.runtime.shared",
    "run": "agentspan.runtime.shared",
    "run_async": "agentspan.runtime.shared",
    "serve": "agentspan.runtime.shared",
    "start": "agentspan.runtime.shared",
    "start_async": "agentspan.runtime.shared",
    "stream": "agentspan.runtime.shared",
    "stream_async": "agentspan.runtime.shared",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        return _names.__getattr__(name)
    return getattr(import_module(_LATE[name]), name)


class _Package(ModuleType):
    """Keeps what it exports: importing the submodule `tool` would put it in the place of the decorator."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
