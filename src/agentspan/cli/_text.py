"""Text of models, tools and users as text: nothing in it moves the cursor, changes colours or hides the rest."""

from __future__ import annotations

import re
import unicodedata

# Control characters except tab and newline, and the marks that turn the order of what follows.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """The text with every control character written out, such as `\\x1b`; tabs and newlines stay."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def flat(text: str) -> str:
    """The text on one line, as `plain` leaves it."""
    return plain(" ".join(text.split()))


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    if columns_of(text) <= columns:
        return text
    used = 0
    for place, character in enumerate(text):
        used += _columns(character)
        if used > columns - 1:
            return f"{text[:place]}…"
    return text
