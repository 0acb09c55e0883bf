"""Helpers to test durable agents against a real Conductor server."""

from agentspan.testing._conversation import ModelRequest, OfferedTool, ToolCall, ToolResult, Turn
from agentspan.testing._processes import WorkerProcess, wait_until
from agentspan.testing._replies import Reply, call, calls, fail, hang, raw, refuse, say, stream
from agentspan.testing._scripted import Script, ScriptedModel

__all__ = [
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
]
