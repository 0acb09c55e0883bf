"""Marks: what tells arguments that were lost from none, and a text from what begins like JSON."""

from __future__ import annotations

from typing import Any

COMPLETE = "arguments-complete"
"""A parameter that models must give for tools without required ones: Conductor hands arguments that are no JSON over as
no arguments, and such a tool would run with its defaults. No Python parameter can have the name."""


def without_mark(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """A tool's parameters as they were before `tool_spec` added a mark."""
    if schema is None or COMPLETE not in schema.get("properties", {}):
        return schema
    properties = {name: told for name, told in schema["properties"].items() if name != COMPLETE}
    return {**schema, "properties": properties, "required": [name for name in schema["required"] if name != COMPLETE]}


def text_mark(execution_id: str) -> str:
    """What a model of a run puts before a text that would be changed on its way; it is taken off where it arrives."""
    return f"text-{execution_id[:8]}:"
