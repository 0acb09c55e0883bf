"""The number of the form in which a run is stored, so that no version reads what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_WORKER = 2
"""The form of runs whose model a worker calls. A definition without a number has the first: the server calls it."""

FORMAT = IN_WORKER
"""The newest form that this version reads."""

PRICES = "prices"
"""In the metadata of a definition whose model the server calls: what models cost, where the agent says so."""


def format_of(metadata: Mapping[str, Any]) -> int:
    """The form in which a run is stored, from the metadata of its definition."""
    return int(metadata.get("format") or 1)
