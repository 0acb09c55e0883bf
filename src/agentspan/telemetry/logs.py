"""Log records that say which call they belong to, and a format for machines."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime

from agentspan.declare.context import OfCall, ToolContext, current_tool_context
from agentspan.declare.credentials import Credentials

FIELDS = ("execution_id", "step", "call_id", "attempt", "agent", "tool")
"""What a record about a call has as attributes."""


class CallFields(logging.Filter):
    """Gives log records the call they belong to: `execution_id`, `step`, `call_id`, `attempt`, `agent`, `tool`.

    The credentials of that call are hidden in the record's message and in what it tells of an exception: `***`.

    A record belongs to the call it speaks of, or else to the call in whose tool it was made; other records have None.
    agentspan's own loggers have this filter; add it to your handler for what your tools log:

        handler.addFilter(CallFields())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields, hide what is secret; no record is held back."""
        if not hasattr(record, FIELDS[0]):
            context = _of(record)
            if context is not None and context.credentials:
                _hide(record, Credentials(context.credentials))
            for name in FIELDS:
                setattr(record, name, None if context is None else getattr(context, name))
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, the call's fields, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; fields that do not apply are left out."""
        shown = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name, None) for name in FIELDS},
            "error": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({key: value for key, value in shown.items() if value is not None}, ensure_ascii=False)


def _of(record: logging.LogRecord) -> ToolContext | None:
    spoken_of = record.args if isinstance(record.args, tuple) else ()
    call = next((item for item in spoken_of if isinstance(item, OfCall)), None)
    return current_tool_context() if call is None else call.tool_context()


class _Hidden(Exception):
    """Stands for an exception that says a credential."""


def _hide(record: logging.LogRecord, credentials: Credentials) -> None:
    said = record.getMessage()
    if credentials.masked(said) != said:
        record.msg, record.args = credentials.masked(said), ()
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return
    told = "".join(traceback.format_exception(error))
    if credentials.masked(told) != told:
        # An exception is what its own code makes of it, so another one tells what it said; its causes would tell more.
        hidden = _Hidden(credentials.masked("".join(traceback.format_exception_only(error)).strip()))
        record.exc_info = type(hidden), hidden, error.__traceback__
