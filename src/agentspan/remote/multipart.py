"""Bodies of several parts, as forms with files are sent: a model writes the files as texts with names."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from agentspan.errors import ToolFailed

MULTIPART_TYPE = "multipart/form-data"

FILE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The file's name, such as report.csv."},
        "content": {"type": "string", "description": "The text in it."},
    },
    "required": ["name", "content"],
    "additionalProperties": False,
}
"""What models are shown of a file."""


def for_models(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema of a form as models are shown it, and which of its fields are files.

    Args:
        schema: JSON Schema of the fields.
    """
    fields = schema.get("properties", {})
    files = {name: shown for name, field in fields.items() if (shown := _as_file(field)) is not None}
    return ({**schema, "properties": {**fields, **files}} if files else dict(schema)), tuple(files)


def _as_file(field: Any) -> dict[str, Any] | None:
    """A field that is a file, or several, as models are shown it; None of another one."""
    if not isinstance(field, Mapping):
        return None
    described = {"description": field["description"]} if "description" in field else {}
    if field.get("type") == "array":
        each = _as_file(field.get("items"))
        return None if each is None else {"type": "array", "items": each, **described}
    is_file = field.get("format") == "binary" or "contentMediaType" in field
    return {**FILE, **described} if is_file else None


def written(fields: Iterable[tuple[str, Any]], files: Collection[str]) -> tuple[bytes, str]:
    """The body, and its content type; the same for the same fields.

    Args:
        fields: What is sent, by name; of a list each item by itself.
        files: Which of them are files.

    Raises:
        ToolFailed: What is to be a file is none.
    """
    parts = [_part(name, item, is_file=name in files) for name, value in fields for item in _items(value)]
    boundary = sha256(b"\0".join(parts)).hexdigest()  # which no part can have in it
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"{MULTIPART_TYPE}; boundary={boundary}"


def _items(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else (value,)


def _part(name: str, value: Any, *, is_file: bool) -> bytes:
    head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if is_file:
        if not (isinstance(value, dict) and all(isinstance(value.get(each), str) for each in FILE["required"])):
            raise ToolFailed(f"{name} is a file: send an object with its name and its content, both of them texts")
        kind = mimetypes.guess_type(value["name"])[0] or "application/octet-stream"
        head += f'; filename="{_quoted(value["name"])}"\r\nContent-Type: {kind}'
        value = value["content"]
    elif isinstance(value, dict):
        head += "\r\nContent-Type: application/json"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{head}\r\n\r\n{text}".encode()


def _quoted(text: str) -> str:
    """A name as it stands in a part's head, as browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
