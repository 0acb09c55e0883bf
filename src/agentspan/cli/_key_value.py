"""Values on the command line that have a name: `KEY=VALUE`."""

from __future__ import annotations

from typing import Any

import click


class KeyValue(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A name, and what it is to be: a text, or JSON of what is none."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The name and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, wanted = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE.", param, ctx)
        return key, wanted
