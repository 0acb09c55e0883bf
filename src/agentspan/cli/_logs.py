"""What the worker host logs, on stderr."""

from __future__ import annotations

import logging
import traceback


def show_logs(*, debug: bool, level: int = logging.WARNING) -> None:
    """Print the log of agentspan on stderr, a line each; with tracebacks when debugging."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s  %(message)s") if debug else _OneLine())
    logger = logging.getLogger("agentspan")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if debug else level)
    logger.propagate = False
    if not debug:  # its client reports every connection that a restarting server cuts; so do we, once
        logging.getLogger("conductor").setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    """A record on one line: of an exception its text, and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname.lower()}: {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return line
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        return f"{line}: {type(error).__name__}: {error}{place}"
