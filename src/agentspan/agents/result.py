"""What runs give, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.agents._names import __getattr__
from agentspan.reading.events import Event, EventType
from agentspan.reading.result import AgentResult, AgentStatus
from agentspan.runtime.handle import AgentHandle
from agentspan.runtime.stream import EventStream
from agentspan.stored.status import FinishReason, Status
from agentspan.stored.usage import Usage

__all__ = [
    "AgentHandle",
    "AgentResult",
    "AgentStatus",
    "Event",
    "EventStream",
    "EventType",
    "FinishReason",
    "Status",
    "Usage",
    "__getattr__",
]
