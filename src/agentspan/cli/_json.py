"""JSON objects on the command line."""

from __future__ import annotations

import json
from typing import Any

import click


class JsonObject(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """An object as JSON."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The object."""
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.fail("is no JSON object", param, ctx)
        return found
