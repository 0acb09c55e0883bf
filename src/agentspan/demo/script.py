"""The model of the demo when there is no provider's key: what it says next depends on the request alone.

It reads the tools' results from the conversation, as a model does, and writes its report from their figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentspan.testing import ModelRequest, Reply, call, say

MODEL = "openai/scripted-analyst"


def reply(request: ModelRequest) -> Reply:
    """The model's next turn."""
    results = list(_results(request))
    report = next((value for name, value in results if name == "aggregate_results"), None)
    if report is not None:
        return say("\n".join(_report(report)))
    listed: list[int] = next((value for name, value in results if name == "list_chunks"), [])
    if not listed:
        return call("list_chunks")
    measured = [value for name, value in results if name == "analyze_chunk"]
    done = {value["chunk_id"] for value in measured}
    left = [chunk for chunk in listed if chunk not in done]
    return call("analyze_chunk", chunk_id=left[0]) if left else call("aggregate_results", results=measured)


def _results(request: ModelRequest) -> Iterator[tuple[str, Any]]:
    """Every tool's result so far, with the tool's name; failures are left out, and so tried again."""
    for turn in request.messages:
        for result in turn.tool_results:
            if isinstance(result.output, dict) and "result" in result.output:
                yield result.name, result.output["result"]


def _report(figures: dict[str, Any]) -> Iterator[str]:
    products = _falling(figures["products"])
    (best, best_mean), (worst, worst_mean) = products[0], products[-1]
    yield f"Customer feedback: {figures['count']} entries in {figures['chunks']} chunks"
    yield ""
    yield f"Mean rating {figures['mean_rating']:.2f} of 5; by chunk {', '.join(f'{m:.1f}' for m in figures['trend'])}."
    yield f"{figures['positive_share']} % of the entries praise, {figures['negative_share']} % complain."
    yield ""
    for product, mean in products:
        yield f"  {product:<16} {mean:.2f}  {'*' * round(mean)}"
    yield ""
    yield f"Best liked is the {best} ({best_mean:.2f}), least the {worst} ({worst_mean:.2f})."
    most = _falling(figures["complaints"])[:3]
    yield f"Bad ratings are mostly about {', '.join(f'{topic} ({count})' for topic, count in most)}."


def _falling(figures: dict[str, float]) -> list[tuple[str, float]]:
    # JSON objects have no order to rely on.
    return sorted(figures.items(), key=lambda item: (-item[1], item[0]))
