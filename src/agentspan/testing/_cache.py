"""A prompt cache, by Anthropic's rules: what stands before a mark is kept, and read by who sends it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from agentspan.testing._conversation import estimate_tokens

LEAST = 1024
"""Tokens that a prefix must have to be kept."""

BACK = 20
"""Blocks before a mark within which an earlier entry is found."""


@dataclass(frozen=True)
class _Prefix:
    digest: str
    tokens: int
    marked: bool


class PromptCache:
    """The prefixes that were kept so far; entries do not expire here."""

    def __init__(self) -> None:
        self._kept: set[str] = set()

    def count(self, body: dict[str, Any]) -> tuple[int, int]:
        """Tokens of a request that are read from the cache, and that are put there.

        Args:
            body: A request in Anthropic's shape.
        """
        prefixes = list(_prefixes(body))
        if prefixes and "cache_control" in body:  # of the whole request: it marks the last block
            prefixes[-1] = replace(prefixes[-1], marked=True)
        marks = [place for place, prefix in enumerate(prefixes) if prefix.marked and prefix.tokens >= LEAST]
        if not marks:
            return 0, 0
        within = (prefixes[place] for mark in marks for place in range(max(0, mark - BACK), mark + 1))
        read = max((prefix.tokens for prefix in within if prefix.digest in self._kept), default=0)
        self._kept |= {prefixes[mark].digest for mark in marks}
        return read, max(0, prefixes[marks[-1]].tokens - read)


def _prefixes(body: dict[str, Any]) -> Iterator[_Prefix]:
    digest, tokens = hashlib.blake2b(str(body.get("model")).encode(), digest_size=16), 0
    for block in _blocks(body):
        text = json.dumps({name: value for name, value in block.items() if name != "cache_control"}, sort_keys=True)
        digest.update(text.encode("utf-8", "surrogatepass"))
        tokens += estimate_tokens(text)
        yield _Prefix(digest.hexdigest(), tokens, "cache_control" in block)


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools") or ()
    yield from _texts(body.get("system"), "system")
    for message in body.get("messages") or ():
        yield from _texts(message.get("content"), message["role"])


def _texts(content: Any, role: str) -> Iterator[dict[str, Any]]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    for block in blocks:
        yield {**block, "role": role}
