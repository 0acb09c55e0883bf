"""The fields that only some events have, as all answer to their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


class Foreign:
    """Answers None for what only events of another type have."""

    if TYPE_CHECKING:
        call_id: str | None
        tool_name: str | None
        args: dict[str, Any] | None
        result: Any
        output: Any
        error: str | None
        attempt: int | None
        text: str | None
        request_id: str | None
        approved: bool | None
        by: str | None
        target: str | None
        guardrail_name: str | None
        position: str | None
        action: str | None
    else:

        def __getattr__(self, name: str) -> None:
            if name not in _NAMES:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_NAMES = frozenset(
    {
        "call_id",
        "tool_name",
        "args",
        "result",
        "output",
        "error",
        "attempt",
        "text",
        "request_id",
        "approved",
        "by",
        "target",
        "guardrail_name",
        "position",
        "action",
    }
)
