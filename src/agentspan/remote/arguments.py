"""Where the arguments of a request go, and how they are written there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from agentspan.errors import ToolFailed

Where = Literal["path", "query", "header", "cookie", "body", "whole body"]
"""The part of a request that an argument goes to; `whole body` is one that is all of it."""

Style = Literal["plain", "form", "json", "deepObject", "spaceDelimited", "pipeDelimited"]
"""How an argument that is no text is written. `plain` is as lists are in forms, with objects as JSON."""

_BETWEEN = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True)
class Placed:
    """Where an argument goes.

    Attributes:
        where: The part of the request.
        name: What it is called there.
        explode: Whether each item of a list, and each field of an object, goes there by itself.
        style: How it is written.
    """

    where: Where
    name: str
    explode: bool = True
    style: Style = "plain"


def in_path(where: Placed, value: Any) -> str:
    """A value as it stands in an address.

    Raises:
        ToolFailed: It would lead elsewhere.
    """
    text = _written(where, value)
    if value is None or (text.strip(".") == "" and len(text) < 3):  # taken for this folder, or the one above
        raise ToolFailed(f"{where.name}: {text!r} cannot stand in an address")
    return quote(text, safe=",")


def in_header(where: Placed, value: Any) -> str:
    """A value as it stands in a header.

    Raises:
        ToolFailed: It cannot.
    """
    text = _written(where, value)
    if not text.isascii() or not text.isprintable():
        raise ToolFailed(f"{where.name}: {text!r} cannot stand in a header; send printable ASCII")
    return text


def _written(where: Placed, value: Any) -> str:
    """A value as one text."""
    between = _BETWEEN.get(where.style, ",")
    if isinstance(value, list) and where.style != "json":
        return between.join(_text(item) for item in value)
    if isinstance(value, dict) and where.style not in ("json", "plain"):
        is_pair = "=" if where.explode else between
        return between.join(f"{key}{is_pair}{_text(item)}" for key, item in value.items())
    return as_json(value) if where.style == "json" else _text(value)


def pairs(parts: Sequence[tuple[Placed, Any]]) -> list[tuple[str, str]]:
    """What is sent by name; of null nothing, which has no form there."""
    return [pair for where, value in parts if value is not None for pair in _pairs_of(where, value)]


def _pairs_of(where: Placed, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict) and where.style == "deepObject":
        return [(f"{where.name}[{key}]", _text(item)) for key, item in value.items() if item is not None]
    if where.explode and where.style != "json":
        if isinstance(value, list):
            return [(where.name, _text(item)) for item in value if item is not None]
        if isinstance(value, dict) and where.style == "form":
            return [(key, _text(item)) for key, item in value.items() if item is not None]
    return [(where.name, _written(where, value))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """A value as JSON, short."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
