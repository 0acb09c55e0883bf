"""The figures: what sixty customers think, counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

CHUNK_SIZE = 10

_WORD = re.compile(r"[a-z]+")

PRAISE = frozenset(
    [
        "beautiful",
        "bright",
        "comfortable",
        "easy",
        "excellent",
        "fast",
        "good",
        "great",
        "happy",
        "light",
        "love",
        "lovely",
        "nice",
        "perfect",
        "quick",
        "quiet",
        "recommend",
        "reliable",
        "smooth",
        "solid",
        "wonderful",
    ]
)
BLAME = frozenset(
    [
        "annoying",
        "awful",
        "bad",
        "broke",
        "broken",
        "confusing",
        "damaged",
        "dead",
        "disappointed",
        "drops",
        "expensive",
        "flickers",
        "forever",
        "frustrating",
        "jammed",
        "late",
        "leaks",
        "loud",
        "poor",
        "slow",
        "stopped",
        "terrible",
        "tore",
        "useless",
    ]
)
TOPICS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "battery": frozenset({"battery", "charge"}),
        "build quality": frozenset(
            {"broke", "broken", "hinge", "leaks", "quality", "seam", "stitching", "tore", "zip"}
        ),
        "connection": frozenset({"app", "connection", "pair", "pairing", "update"}),
        "delivery": frozenset({"arrived", "delivery", "packaging", "shipping"}),
        "price": frozenset({"expensive", "price", "value"}),
        "support": frozenset({"refund", "reply", "service", "support", "warranty"}),
    }
)


@dataclass(frozen=True)
class Entry:
    """What one customer wrote."""

    id: int
    date: str
    product: str
    rating: int
    text: str


@dataclass(frozen=True)
class ChunkMetrics:
    """Figures of one chunk; sums rather than means, so that chunks can be added up.

    Attributes:
        chunk_id: Which chunk.
        count: How many entries.
        rating_sum: Their ratings, added up.
        positive: Entries with more praise than blame in their words.
        negative: Entries with more blame than praise.
        rating_sums: Ratings by product, added up.
        counts: Entries by product.
        complaints: Topics of the entries rated 1 or 2, and how often each came up.
    """

    chunk_id: int
    count: int
    rating_sum: int
    positive: int
    negative: int
    rating_sums: dict[str, int]
    counts: dict[str, int]
    complaints: dict[str, int]


@dataclass(frozen=True)
class Report:
    """Figures of all chunks.

    Attributes:
        chunks: How many chunks were added up.
        count: How many entries.
        mean_rating: Their mean rating.
        positive_share: Share of entries with more praise than blame, in percent.
        negative_share: Share of entries with more blame than praise, in percent.
        products: Mean rating by product, the best first.
        complaints: Topics of the bad ratings, the most frequent first.
        trend: Mean rating by chunk, in the order of time.
    """

    chunks: int
    count: int
    mean_rating: float
    positive_share: int
    negative_share: int
    products: dict[str, float]
    complaints: dict[str, int]
    trend: list[float]


@cache
def entries() -> tuple[Entry, ...]:
    """All feedback, by date."""
    text = files("agentspan.demo").joinpath("feedback.jsonl").read_text(encoding="utf-8")
    return tuple(Entry(**json.loads(line)) for line in text.splitlines())


def chunks() -> dict[int, tuple[Entry, ...]]:
    """The feedback in chunks, numbered from 1."""
    found = entries()
    return {
        number: found[start : start + CHUNK_SIZE] for number, start in enumerate(range(0, len(found), CHUNK_SIZE), 1)
    }


def measure(chunk_id: int, chunk: Sequence[Entry]) -> ChunkMetrics:
    """Count one chunk."""
    moods = [mood(entry.text) for entry in chunk]
    rating_sums: Counter[str] = Counter()
    for entry in chunk:
        rating_sums[entry.product] += entry.rating
    complaints = Counter(topic for entry in chunk if entry.rating <= 2 for topic in topics(entry.text))
    return ChunkMetrics(
        chunk_id=chunk_id,
        count=len(chunk),
        rating_sum=rating_sums.total(),
        positive=sum(value > 0 for value in moods),
        negative=sum(value < 0 for value in moods),
        rating_sums=dict(sorted(rating_sums.items())),
        counts=dict(sorted(Counter(entry.product for entry in chunk).items())),
        complaints=dict(sorted(complaints.items())),
    )


def merge(parts: Iterable[ChunkMetrics]) -> Report:
    """Add chunks up.

    Raises:
        ValueError: There is nothing to add up, or a chunk is there twice.
    """
    ordered = sorted(parts, key=lambda part: part.chunk_id)
    ids = [part.chunk_id for part in ordered]
    total = sum(part.count for part in ordered)
    if not total:
        raise ValueError("there are no results to aggregate")
    if len(set(ids)) < len(ids):
        raise ValueError(f"a chunk is there twice: {ids}")
    rating_sums = _added(part.rating_sums for part in ordered)
    counts = _added(part.counts for part in ordered)
    means = {product: round(rating_sums[product] / count, 2) for product, count in counts.items()}
    return Report(
        chunks=len(ordered),
        count=total,
        mean_rating=round(sum(part.rating_sum for part in ordered) / total, 2),
        positive_share=round(100 * sum(part.positive for part in ordered) / total),
        negative_share=round(100 * sum(part.negative for part in ordered) / total),
        products=dict(sorted(means.items(), key=lambda item: (-item[1], item[0]))),
        complaints=dict(_added(part.complaints for part in ordered).most_common()),
        trend=[round(part.rating_sum / part.count, 2) for part in ordered],
    )


def mood(text: str) -> int:
    """Words of praise in a text, less words of blame."""
    words = _WORD.findall(text.lower())
    return sum(word in PRAISE for word in words) - sum(word in BLAME for word in words)


def topics(text: str) -> list[str]:
    """What a text is about."""
    words = set(_WORD.findall(text.lower()))
    return [topic for topic, keywords in TOPICS.items() if words & keywords]


def _added(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total
