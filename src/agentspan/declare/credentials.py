"""Credentials: what a tool needs to be let in somewhere, handed to one call and hidden in all that is told of it."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agentspan.errors import DefinitionError, ToolFailed

if TYPE_CHECKING:
    from agentspan.declare.tool import Tool

Source = Callable[[str], str | None]
"""Where credentials come from: the value of a name. None, or a LookupError, where there is none."""

MASK = "***"

_SHORT = 4
"""Characters. A shorter text is found everywhere, so that hiding it would tell more than it hides."""

_LINE = 16
"""Characters from which on a single line of a key of several lines is hidden, too."""


class Credentials(Mapping[str, str]):
    """The credentials of one call, by their names. What shows them shows the names alone."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        forms = {form for value in self._values.values() for form in _forms(value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __getitem__(self, name: str) -> str:
        try:
            return self._values[name]
        except KeyError:
            hint = f"@tool(credentials=({name!r},)) asks for it"
            raise KeyError(f"{name} is no credential of this tool; {hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Credentials {', '.join(self._values) or 'none'}>"

    def masked(self, value: Any) -> Any:
        """JSON data, or a text, with `***` in the place of each credential."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, dict):
            return {self.masked(key): self.masked(item) for key, item in value.items()}
        return [self.masked(item) for item in value] if isinstance(value, list) else value


def checked_credentials(names: object, what: str) -> tuple[str, ...]:
    """The names of the credentials that a tool asks for, each once.

    Raises:
        DefinitionError: They are no names.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DefinitionError(f"{what}: credentials is a tuple of names, not {names!r}", hint="credentials=('TOKEN',)")
    found = tuple(dict.fromkeys(names))
    for name in found:
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise DefinitionError(f"{what}: a credential has a name, such as 'GITHUB_TOKEN', and not {name!r}")
    return found


def with_credentials(tools: tuple[Tool[..., Any], ...], names: object, what: str) -> tuple[Tool[..., Any], ...]:
    """The tools of an agent that asks for credentials for all of them.

    Raises:
        DefinitionError: They are no names.
    """
    more = checked_credentials(names, what)
    if not more:
        return tools
    return tuple(replace(each, credentials=(*each.credentials, *more)) if each.is_served else each for each in tools)


def hand_out(names: Iterable[str], what: str, source: Source | None) -> Credentials:
    """What a call gets.

    Args:
        names: What its tool asks for.
        what: Whose call it is, for the message.
        source: Where they come from; None for the environment of this process.

    Raises:
        ToolFailed: One of them is not there.
    """
    return Credentials({name: _found(name, what, source or os.environ.get) for name in names})


def _found(name: str, what: str, source: Source) -> str:
    try:
        value = source(name)
    except LookupError:
        value = None
    if not value:
        raise ToolFailed(f"{what} needs the credential {name}, and its worker has none of that name.")
    if not isinstance(value, str):
        raise ToolFailed(f"{what}: the credential {name} must be a text, and its worker has a {type(value).__name__}.")
    return value


def _forms(value: str) -> Iterator[str]:
    """The texts in which a credential may be quoted."""
    if len(value) < _SHORT:
        return
    yield value
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode()
    yield from (line for line in value.splitlines() if len(line) >= _LINE and not line.startswith("-----"))
