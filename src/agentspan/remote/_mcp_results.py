"""What the tools of MCP servers give, as values that models are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mcp_types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from agentspan.declare.content import File, Image
from agentspan.errors import InputError
from agentspan.schema.values import why_not_carried


def value_of(result: CallToolResult) -> object:
    """Its structured content, or else its text, with images and files among it."""
    parts = list(_parts(result))
    content = result.structured_content
    if content is not None and not any(isinstance(part, File) for part in parts) and why_not_carried(content) is None:
        return content["result"] if isinstance(content, dict) and list(content) == ["result"] else content
    if content is not None and not parts:
        return json.dumps(content)
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "\n".join(texts)
    return parts[0] if len(parts) == 1 else parts


def text_of(result: CallToolResult) -> str:
    """Its text alone, or else its structured content as text."""
    text = "\n".join(part for part in _parts(result) if isinstance(part, str))
    if text.strip() or result.structured_content is None:
        return text
    return json.dumps(result.structured_content, ensure_ascii=False)


def _parts(result: CallToolResult) -> Iterator[str | File]:
    for block in result.content:
        if isinstance(block, TextContent):
            yield _plain(block.text)
        elif isinstance(block, ResourceLink):
            yield f"{block.title or block.name}: {block.uri}"
        elif isinstance(block, EmbeddedResource):
            yield _resource(block.resource)
        else:
            yield _file(block.mime_type, block.data)


def _resource(found: TextResourceContents | BlobResourceContents) -> str | File:
    if isinstance(found, TextResourceContents):
        return _plain(found.text)
    return _file(found.mime_type or "application/octet-stream", found.blob)


def _plain(text: str) -> str:
    """A text as it can be stored."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _file(media_type: str, base64: str) -> str | File:
    if not base64:
        return f"[an empty file, {media_type}]"
    kind = Image if media_type.startswith("image/") else File
    try:
        return kind(media_type=media_type, base64="".join(base64.split()))
    except InputError as error:  # the call was made; whoever asked for it is to know the rest of its result
        return f"[a file that cannot be shown: {error.message}]"
