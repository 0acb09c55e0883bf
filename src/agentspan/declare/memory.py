"""A conversation that a program keeps and gives to runs of an agent."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ConversationMemory:
    """Messages that come before the prompt of each run of an agent: `Agent(…, memory=ConversationMemory())`.

    A run is given what the memory holds when it starts, and adds nothing to it. Where the server is to remember,
    `run(…, session_id=…)` does it without a memory; a session of an agent with one begins with it.

    Attributes:
        messages: `{"role": …, "message": …}` each, oldest first.
        max_messages: The oldest ones beyond it are dropped, those of the system last; None keeps all.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    max_messages: int | None = None

    def add_user_message(self, content: str) -> None:
        """Something the user said."""
        self._add(role="user", message=content)

    def add_assistant_message(self, content: str) -> None:
        """Something the model said, such as the output of the last run."""
        self._add(role="assistant", message=content)

    def add_system_message(self, content: str) -> None:
        """Something the model is to know."""
        self._add(role="system", message=content)

    def add_tool_call(self, tool_name: str, arguments: Mapping[str, Any], task_reference_name: str = "") -> None:
        """A tool was called."""
        reference = task_reference_name or f"{tool_name}_ref"
        call = {"name": tool_name, "taskReferenceName": reference, "input": dict(arguments)}
        self._add(role="tool_call", message="", tool_calls=[call])

    def add_tool_result(self, tool_name: str, result: Any, task_reference_name: str = "") -> None:
        """What the call of a tool gave."""
        reference = task_reference_name or f"{tool_name}_ref"
        self._add(role="tool", message=str(result), toolCallId=reference, taskReferenceName=reference)

    def to_chat_messages(self) -> list[dict[str, Any]]:
        """The messages, as a copy."""
        return copy.deepcopy(self.messages)

    def clear(self) -> None:
        """Forget all of them."""
        self.messages.clear()

    def for_run(self) -> list[dict[str, str]]:
        """The messages as a run takes them: only the user and the model speak there, and the user tells the rest."""
        told = [(message["role"], _text(message)) for message in self.messages]
        return [
            {"role": "assistant" if role == "assistant" else "user", "message": text} for role, text in told if text
        ]

    def _add(self, **message: Any) -> None:
        self.messages.append(message)
        excess = len(self.messages) - (self.max_messages or len(self.messages))
        kept = []
        for each in self.messages:
            if excess > 0 and each["role"] != "system":
                excess -= 1
            else:
                kept.append(each)
        self.messages[:] = kept[max(0, excess) :]


def _text(message: Mapping[str, Any]) -> str:
    calls = [f"{call['name']}({json.dumps(call['input'], default=str)})" for call in message.get("tool_calls", ())]
    if calls:
        return f"Called: {', '.join(calls)}."
    if message["role"] == "tool":
        return f"Result of {message['toolCallId'].removesuffix('_ref')}: {message['message']}"
    return str(message["message"])
