"""The lease of a tool call, as its task definition has it and as worker hosts and readers count it."""

from __future__ import annotations

from typing import Any

MAX_DEATHS = 10
"""How often a call is handed to another worker after its worker died: Conductor's own limit."""

RESPONSE_TIMEOUT = 5
"""Seconds without a heartbeat after which a worker counts as dead; see docs/decisions/0005-worker.md."""

LEASE: dict[str, Any] = {
    "retryCount": MAX_DEATHS,
    "retryLogic": "FIXED",
    "retryDelaySeconds": 0,
    "timeoutSeconds": 0,
    "timeoutPolicy": "RETRY",
    "responseTimeoutSeconds": RESPONSE_TIMEOUT,
}
"""Conductor's own retries cover the deaths of workers, at once."""
