"""Recognising that a provider refuses a request because it is longer than its model's context."""

from __future__ import annotations

import re

from agentspan.errors import ToolFailed

_WORDS = re.compile(
    r"context.length|context.window|maximum context|prompt is too long|input is too long|too many (input )?tokens|"
    r"token count .* exceeds|exceeds the maximum number of tokens|request.too.large",
    re.IGNORECASE,
)


class TooLong(ToolFailed):
    """The request is longer than the model's context."""


def is_too_long(status: int, told: str, code: object = None) -> bool:
    """Whether a refusal means that; each provider says it in its own words.

    Args:
        status: The HTTP status.
        told: The provider's message.
        code: The provider's code of the error, where it has one.
    """
    return status in (400, 413, 422) and (code == "context_length_exceeded" or bool(_WORDS.search(told)))
