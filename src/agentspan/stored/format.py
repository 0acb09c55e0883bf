"""The number of the form in which a run is stored, so that no version reads what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = 2
"""The newest form that this version writes and reads. A definition without a number has the first, in which the server
calls the model; in the second a worker does."""


def format_of(metadata: Mapping[str, Any]) -> int:
    """The form in which a run is stored, from the metadata of its definition."""
    return int(metadata.get("format") or 1)
