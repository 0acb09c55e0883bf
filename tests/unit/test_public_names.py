"""The names that users import. A change here is a change of what is promised: docs/versioning.md, CHANGELOG.md."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

import agentspan.agents

NAMES = {
    "agentspan.agents": [
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
        "GuardrailError",
        "GuardrailFailed",
        "GuardrailPassed",
        "GuardrailResult",
        "HandedOff",
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
        "get_credential",
        "guardrail",
        "http_tool",
        "human_tool",
        "mcp_tool",
        "plan",
        "run",
        "run_async",
        "scatter_gather",
        "start",
        "start_async",
        "stream",
        "stream_async",
        "tool",
        "toolset",
    ],
    "agentspan.errors": [
        "AgentspanError",
        "ConfigError",
        "Conflict",
        "DefinitionError",
        "ExecutionError",
        "ExecutionFailed",
        "ExecutionTerminated",
        "ExecutionTimedOut",
        "GuardrailError",
        "InputError",
        "LocalServerError",
        "NotFound",
        "OutputInvalid",
        "RetryTool",
        "ServerError",
        "ServerRejected",
        "ServerUnreachable",
        "ToolError",
        "ToolFailed",
        "Unauthorized",
        "UnknownFormat",
        "WaitTimeout",
        "WorkerError",
        "WouldBlock",
    ],
    "agentspan.server": [
        "LocalServer",
        "Progress",
        "STARTING",
        "ServerState",
    ],
    "agentspan.testing": [
        "ModelRequest",
        "OfferedTool",
        "Reply",
        "Script",
        "ScriptedModel",
        "ToolCall",
        "ToolResult",
        "Turn",
        "WorkerProcess",
        "call",
        "calls",
        "fail",
        "hang",
        "raw",
        "refuse",
        "say",
        "stream",
        "wait_until",
    ],
}


def exported(module: ModuleType) -> list[str]:
    """What `__all__` lists, or else what the module itself defines."""
    defined = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return sorted(getattr(module, "__all__", [name for name in defined if not name.startswith("_")]))


@pytest.mark.parametrize("module", NAMES)
def test_a_module_exports_these_names_and_no_others(module: str) -> None:
    assert exported(import_module(module)) == NAMES[module]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_a_name_is_there(module: str, name: str) -> None:
    """Those that are loaded late, too."""
    assert getattr(import_module(module), name) is not None


def test_the_package_has_the_names_of_its_agents() -> None:
    assert agentspan.__all__ == agentspan.agents.__all__
    assert all(getattr(agentspan, name) is getattr(agentspan.agents, name) for name in agentspan.__all__)


def test_every_error_is_imported_from_the_agents_too() -> None:
    assert set(NAMES["agentspan.errors"]) <= set(NAMES["agentspan.agents"])
