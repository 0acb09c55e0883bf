"""Values that an agent's definition carries for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspan.errors import DefinitionError, InputError
from agentspan.schema.values import check_value


def checked_metadata(given: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The metadata of an agent, as plain JSON.

    Raises:
        DefinitionError: It is no dict, or cannot be stored.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
        raise DefinitionError(f"{what}: metadata is a dict with texts as keys, not {given!r}")
    try:
        found: Mapping[str, Any] = check_value(dict(given), f"{what}: metadata")
    except InputError as error:
        raise DefinitionError(error.message) from error
    return found
