"""OpenAI's errors, the same in both of its shapes."""

from __future__ import annotations

from typing import Any

from agentspan.testing._replies import Failure

_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def refuse(failure: Failure) -> dict[str, Any]:
    """The body of an error."""
    usual = ("server_error", None) if failure.status >= 500 else ("invalid_request_error", None)
    kind, code = _ERRORS.get(failure.status, usual)
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}
