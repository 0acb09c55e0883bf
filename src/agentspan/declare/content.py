"""Images and files: beside the text of a prompt, and among what tools return."""

from __future__ import annotations

import json
import mimetypes
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from agentspan.errors import InputError

KIND = "agentspan.file"
"""What tells the stored form of a file from other JSON."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file for the model to see: its bytes, or where the provider finds it.

    It is stored once, in the prompt or the result that it is part of, and counts against the limits of that.

    Attributes:
        media_type: Such as `application/pdf`.
        base64: Its bytes, written in base64; empty of one with an address.
        url: Its address; empty of one with bytes.
    """

    media_type: str
    base64: str = field(default="", repr=False)
    url: str = ""
    kind: str = field(default=KIND, init=False, repr=False)

    def __post_init__(self) -> None:
        if bool(self.base64) == bool(self.url):
            raise InputError(
                f"{type(self).__name__} has bytes, or a URL; this one has {'both' if self.url else 'neither'}"
            )
        try:
            b64decode(self.base64, validate=True)
        except ValueError as error:
            raise InputError(f"{type(self).__name__}: base64 is no base64: {error}") from error
        if self.media_type.count("/") != 1:
            raise InputError(f"{type(self).__name__}: media_type is such as 'image/png', not {self.media_type!r}")

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str) -> Self:
        """A file of these bytes.

        Raises:
            InputError: There are none, or `media_type` is no media type.
        """
        if not data:
            raise InputError(f"{cls.__name__}: there are no bytes in it")
        return cls(media_type=media_type, base64=b64encode(data).decode())

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> Self:
        """A file on this machine, read now.

        Args:
            path: Where it is.
            media_type: What it is; by the end of its name unless given.

        Raises:
            InputError: It cannot be read, or the end of its name says nothing.
        """
        found = media_type or mimetypes.guess_type(str(path))[0]
        if found is None:
            raise InputError(f"{path}: the end of its name does not say what it is", hint="Give media_type='…/…'.")
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
        if not data:
            raise InputError(f"{path} is empty")
        return cls.from_bytes(data, found)

    @classmethod
    def from_url(cls, url: str, media_type: str | None = None) -> Self:
        """A file that the provider fetches itself.

        Raises:
            InputError: It is no address that others can fetch; the end of its name does not say what it is, and neither
                does `media_type`.
        """
        if "://" not in url or url.lower().startswith("file:"):
            raise InputError(f"{url!r:.200} is no address that a provider can fetch", hint="A file here: from_path.")
        found = media_type or mimetypes.guess_type(url.partition("?")[0])[0]
        if found is None:
            raise InputError(f"{url}: the end of its name does not say what it is", hint="Give media_type='…/…'.")
        return cls(media_type=found, url=url)


@dataclass(frozen=True, kw_only=True)
class Image(File):
    """An image for the model to see."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.media_type.startswith("image/"):
            raise InputError(f"Image: media_type is such as 'image/png', not {self.media_type!r}", hint="Use File.")


Prompt = str | Sequence[str | File]
"""A text, or texts with images and files among them."""


def holds_files(value: object) -> bool:
    """Whether a value is a file, or a list with one in it; as it is, or as it is stored."""
    return any(is_file(item) for item in (value if isinstance(value, list | tuple) else (value,)))


def is_file(value: object) -> bool:
    """Whether a value is a file, as it is or as it is stored."""
    if isinstance(value, dict) and value.get("kind") == KIND:
        has = {name: value.get(name, "") for name in ("media_type", "base64", "url")}
        return all(isinstance(each, str) for each in has.values()) and bool(has["base64"]) != bool(has["url"])
    return isinstance(value, File)


def without_forged(value: Any) -> Any:
    """What a tool returned; what only looks like the stored form of a file, as JSON from elsewhere may, as a text."""
    if isinstance(value, list | tuple):
        return [_unless_forged(item) for item in value] if any(map(_is_forged, value)) else value
    return _unless_forged(value)


def _is_forged(value: object) -> bool:
    return is_file(value) and not isinstance(value, File)


def _unless_forged(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if _is_forged(value) else value


def words_of(prompt: Sequence[str | File]) -> str:
    """A prompt as text: its files are named by what they are."""
    return "\n".join(part if isinstance(part, str) else f"[{part.media_type}]" for part in prompt)


def stored_form(file: File) -> dict[str, Any]:
    """A file as JSON."""
    return {name: value for name, value in asdict(file).items() if value}
