"""Stored files as what pydantic-ai sends to providers."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from pydantic_ai.messages import AudioUrl, BinaryContent, DocumentUrl, ImageUrl, UserContent, VideoUrl

from agentspan.declare.content import holds_files, is_file

_URLS: dict[str, type[ImageUrl | AudioUrl | VideoUrl | DocumentUrl]] = {
    "image": ImageUrl,
    "audio": AudioUrl,
    "video": VideoUrl,
}


def with_files(content: Any) -> Any:
    """A prompt's parts, or a tool's result, with what is sent of each file in place of its stored form."""
    if not holds_files(content):
        return content
    items = content if isinstance(content, list) else [content]
    return [_sent(item) if is_file(item) else item for item in items]


def _sent(item: dict[str, Any]) -> UserContent:
    if item.get("base64"):
        try:
            data = b64decode(item["base64"])
        except ValueError:  # of a worker in another language
            return f"[{item['media_type']}: its bytes cannot be read]"
        return BinaryContent.narrow_type(BinaryContent(data, media_type=item["media_type"]))
    kind = _URLS.get(item["media_type"].partition("/")[0], DocumentUrl)
    return kind(url=item["url"], media_type=item["media_type"])
