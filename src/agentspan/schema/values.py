"""Python values as JSON that Conductor carries intact."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from agentspan.errors import InputError

MAX_BYTES = 2_500_000
"""The largest value that is sent. Above 3 MB Conductor moves a payload to a folder of the server
process, where a worker cannot read it and a restart loses it."""

MAX_DEPTH = 500
"""The deepest nesting that is sent. Conductor answers 500 from a depth of 1,000, and wraps values."""

_NUL = re.compile("\0")
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


_KEYS = ("keys must be", "Out of range")
"""What `json` says of keys that are no text or number; of NaN as a value, too."""


class ResultError(ValueError):
    """What a tool returned cannot be carried as JSON; the text is for the model."""


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 on; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def to_jsonable(value: object, max_bytes: int = MAX_BYTES) -> Any:
    """What a tool returned, as plain JSON data.

    Models, dataclasses, enums, dates, decimals, UUIDs, paths, sets and tuples are written out the
    way pydantic does, as keys too; bytes are text in UTF-8.

    Args:
        value: Anything.
        max_bytes: How long its JSON may be.

    Raises:
        ResultError: When JSON, or Conductor, would not carry the value intact.
    """
    try:
        text = _written(value)
        problem = _text_problem(text, nul=_JSON_NUL, max_bytes=max_bytes)
        result = None if problem else json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ResultError(f"the result is nested more than {MAX_DEPTH} levels deep") from None
    except ResultError:
        raise
    except (TypeError, ValueError) as error:
        raise ResultError(f"the result cannot be written as JSON: {error}") from error
    if problem is None and _too_deep(result, text):
        problem = f"is nested more than {MAX_DEPTH} levels deep"
    if problem:
        raise ResultError(f"the result {problem}")
    return result


def why_not_carried(value: object, max_bytes: int = MAX_BYTES) -> str | None:
    """Why JSON, or Conductor, would not carry a value intact, to follow its name; None of one that is carried.

    Args:
        value: Anything.
        max_bytes: How long its JSON may be.
    """
    try:
        to_jsonable(value, max_bytes)
    except ResultError as error:
        return str(error).removeprefix("the result ")
    return None


def check_text(value: object, what: str) -> str:
    """Return `value` if it is a text that Conductor carries intact.

    Args:
        value: A prompt, instructions, a description.
        what: What to call it in the message.

    Raises:
        InputError: When it is no text, too long, or has characters that are lost on the way.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} must be a str, not {type(value).__name__}")
    if problem := _text_problem(value, nul=_NUL):
        raise InputError(f"{what} {problem}")
    return value


def check_value(value: object, what: str) -> Any:
    """`value` as plain JSON data that Conductor carries intact.

    Raises:
        InputError: When JSON, or Conductor, would not carry it intact.
    """
    try:
        return to_jsonable(value)
    except ResultError as error:
        raise InputError(f"{what}: {str(error).removeprefix('the result ')}") from error


def shown(text: str, most: int = 10_000) -> str:
    """An error's text as Conductor carries it: cut where it is long, and odd characters spelled out."""
    text = text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _text_problem(text: str, *, nul: re.Pattern[str], max_bytes: int = MAX_BYTES) -> str | None:
    try:
        size = _stored(text)
    except UnicodeEncodeError as error:
        return f"has a lone surrogate at character {error.start}, which is no Unicode text and would become '?'"
    if size > max_bytes:
        return f"takes {size:,} bytes, and no more than {max_bytes:,} can be carried safely"
    if nul.search(text):
        return "has a NUL character, which Conductor cannot store in Postgres"
    return None


def _stored(text: str) -> int:
    """Bytes that the text takes in Conductor, which writes a character beyond U+FFFF as two escapes."""
    size = len(text.encode())
    beyond = 0 if size == len(text) else len(text.encode("utf-16-le")) // 2 - len(text)
    return size + 8 * beyond


def _written(value: object) -> str:
    try:
        text = _dumped(value)
        if '"null":' not in text:  # of the keys that `json` knows, None is the only one that pydantic writes otherwise
            return text
    except (TypeError, ValueError) as error:
        if not str(error).startswith(_KEYS):
            raise
    return _dumped(_with_keys(value))


def _dumped(value: object) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _with_keys(value: object) -> object:
    """The value with the keys that pydantic gives it."""
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():  # a comprehension would need twice the stack
            pairs.append((_key(key), _with_keys(item)))
        return _unique(pairs)
    if isinstance(value, (list, tuple)):
        return list(map(_with_keys, value))
    return value


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    core = import_module("pydantic_core")
    try:
        (text,) = core.to_jsonable_python({key: None}, bytes_mode="utf8", inf_nan_mode="constants")
    except (core.PydanticSerializationError, UnicodeDecodeError, TypeError) as error:
        raise ResultError(f"the result has a {type(key).__name__} as a key, which has no JSON form") from error
    return str(text)


def _plain(value: object) -> object:
    """What `json` does not know, in terms that it knows."""
    if isinstance(value, (set, frozenset)):
        return _ordered(value)
    if isinstance(value, Iterator):
        raise ResultError(f"the result holds a {type(value).__name__}, which can be read only once: return a list")
    core = import_module("pydantic_core")
    try:
        text = core.to_json(value, bytes_mode="utf8", inf_nan_mode="constants")
        if b"null" in text:  # which is what a model makes of infinity, unless it says otherwise
            json.dumps(core.to_jsonable_python(value, bytes_mode="utf8", inf_nan_mode="constants"), allow_nan=False)
        return json.loads(text, object_pairs_hook=_unique)
    except (core.PydanticSerializationError, UnicodeDecodeError) as error:
        what = "bytes that are not text: encode them, for instance with base64"
        if not isinstance(value, (bytes, bytearray)):
            what = f"a {type(value).__name__}, which has no JSON form ({error})"
        raise ResultError(f"the result holds {what}") from error


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    # The order of a set of strings differs between processes; a result should not.
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ResultError("the result has keys that are the same as text, such as 1 and '1'")
    return result


def _too_deep(value: object, text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # spares the walk
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
    return any(isinstance(node, (dict, list)) for node in level)


def _children(node: object) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []
