"""Secrets by name: a text says `${NAME}`, and the environment of whoever makes a call has the value."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import quote

from agentspan.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(*texts: str) -> tuple[str, ...]:
    """The variables that texts name."""
    return tuple(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def filled(text: str, what: str) -> str:
    """A text with the values of the variables that it names.

    Args:
        text: Such as `Bearer ${GITHUB_TOKEN}`.
        what: What needs it, for the message.

    Raises:
        ConfigError: A variable is not set here.
    """
    names = names_in(text)
    check_set(names, what)
    _used.update(names)
    return _VARIABLE.sub(lambda found: os.environ[found[1]], text)


def check_set(names: Iterable[str], what: str) -> None:
    """Refuse to go on without a variable.

    Raises:
        ConfigError: One is not set here, or is empty.
    """
    for name in names:
        if not os.environ.get(name):
            raise ConfigError(
                f"{what} needs the environment variable {name}, which is not set here.",
                hint=f"Set {name} where the worker runs, and where the agent is declared.",
            )


def hidden(text: str, names: Iterable[str]) -> str:
    """A text without the values of variables: `${NAME}` stands in their place."""
    values = {os.environ.get(name, ""): name for name in names}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= 4:  # what is shorter stands in any text
            for written in (value, quote(value, safe="")):
                text = text.replace(written, f"${{{values[value]}}}")
    return text


def without(value: Any, names: Collection[str]) -> Any:
    """A JSON value without the values of variables in its texts."""
    if isinstance(value, str):
        return hidden(value, names)
    if isinstance(value, dict):
        return {key: without(each, names) for key, each in value.items()}
    return [without(each, names) for each in value] if isinstance(value, list) else value


_used: set[str] = set()
"""Variables whose values were asked for in this process."""


class _Discreet(logging.Filter):
    """Lets a library's records through without the values of secrets, which may stand in addresses."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hidden(record.getMessage(), _used), None
        record.exc_info = record.exc_text = None  # whoever called the library says what is to be said
        return True


_discreet = _Discreet()


def keep_discreet(*loggers: str) -> None:
    """Keep the values of secrets out of what libraries log."""
    for name in loggers:
        logging.getLogger(name).addFilter(_discreet)
