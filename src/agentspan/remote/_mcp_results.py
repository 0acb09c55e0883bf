"""What the tools of MCP servers give, as values that models are shown."""

from __future__ import annotations

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


def value_of(result: CallToolResult) -> object:
    """Its structured content, or else its text, with images and files among it."""
    parts = list(_parts(result))
    if result.structured_content is not None and not any(isinstance(part, File) for part in parts):
        content = result.structured_content
        return content["result"] if isinstance(content, dict) and list(content) == ["result"] else content
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "\n".join(texts)
    return parts[0] if len(parts) == 1 else parts


def text_of(result: CallToolResult) -> str:
    """Its text alone."""
    return "\n".join(part for part in _parts(result) if isinstance(part, str))


def _parts(result: CallToolResult) -> Iterator[str | File]:
    for block in result.content:
        if isinstance(block, TextContent):
            yield block.text
        elif isinstance(block, ResourceLink):
            yield f"{block.title or block.name}: {block.uri}"
        elif isinstance(block, EmbeddedResource):
            yield _resource(block.resource)
        else:
            yield _file(block.mime_type, block.data)


def _resource(found: TextResourceContents | BlobResourceContents) -> str | File:
    if isinstance(found, TextResourceContents):
        return found.text
    return _file(found.mime_type or "application/octet-stream", found.blob)


def _file(media_type: str, base64: str) -> File:
    return (Image if media_type.startswith("image/") else File)(media_type=media_type, base64=base64)
