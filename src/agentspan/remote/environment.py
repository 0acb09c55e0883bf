"""Secrets by name: a text says `${NAME}`, and stands for what the worker that makes a call has under that name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping

from agentspan.config import load_settings
from agentspan.declare.credentials import Credentials, hand_out
from agentspan.declare.tool import current_tool_context
from agentspan.errors import ConfigError, ToolFailed

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(*texts: str) -> tuple[str, ...]:
    """The names that texts give in `${…}`."""
    return tuple(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def behind_host(address: str) -> str:
    """An address without the `${NAME}` by which it begins: that one says where something is, and is no secret."""
    begins = _VARIABLE.match(address)
    return address[begins.end() :] if begins else address


def placed(address: str, what: str) -> str:
    """An address with what the environment says of where it is.

    Args:
        address: Such as `${SHOP_URL}/orders`.
        what: What needs it, for the message.

    Raises:
        ToolFailed: The environment does not say.
    """
    begins = _VARIABLE.match(address)
    if begins is None:
        return address
    if not os.environ.get(begins[1]):
        raise ToolFailed(f"{what} needs the environment variable {begins[1]}, which its worker does not have.")
    return os.environ[begins[1]] + address[begins.end() :]


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with values in the place of their names."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def handed(names: Iterable[str], what: str) -> Credentials:
    """The values of names: what the worker handed to the call that runs here, or else what this process has.

    Raises:
        ToolFailed: One of them is not there.
    """
    wanted = set(names)
    context = current_tool_context()
    if context is not None and wanted <= set(context.credentials):
        found = Credentials({name: context.credentials[name] for name in wanted})
    else:
        found = hand_out(wanted, what, load_settings().credentials if wanted else None)
    keep_from_logs(found)
    return found


def at_declaration(names: Iterable[str], what: str) -> Credentials:
    """The values of names, for what is asked while something is declared.

    Raises:
        ConfigError: One of them is not there.
    """
    try:
        return handed(names, what)
    except ToolFailed as error:
        raise ConfigError(
            error.message.replace(", and its worker has none of that name", ", which is not set here"),
            hint="It is needed where the agent is declared, and where its workers are.",
        ) from None


class _Discreet(logging.Filter):
    """Lets a library's records through without credentials, which may stand in addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials = Credentials()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.credentials.masked(record.getMessage()), None
        record.exc_info = record.exc_text = None  # whoever called the library says what is to be said
        return True


_discreet = _Discreet()


def keep_discreet(*loggers: str) -> None:
    """Keep the credentials of this process's calls out of what libraries log."""
    for name in loggers:
        logging.getLogger(name).addFilter(_discreet)


def keep_from_logs(found: Credentials) -> None:
    """Keep credentials, by their names the newest of each, out of what libraries log."""
    known = _discreet.credentials
    if any(known.get(name) != value for name, value in found.items()):
        _discreet.credentials = Credentials({**known, **found})
