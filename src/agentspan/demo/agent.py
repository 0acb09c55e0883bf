"""The agent of the demo."""

from __future__ import annotations

import os
import time

from agentspan.agents import Agent, ToolContext, ToolFailed, tool
from agentspan.demo.analysis import ChunkMetrics, Report, chunks, measure, merge
from agentspan.demo.ledger import noted

MODEL_VARIABLE = "AGENTSPAN_DEMO_MODEL"
DEFAULT_MODEL = "openai/gpt-4o-mini"
PROMPT = "What do our customers think? Go through the whole feedback and write a short report."

_WORK = 1.0
"""Seconds that a call takes, so that one can be watched, and killed, while it runs."""


@tool
def list_chunks(context: ToolContext) -> list[int]:
    """List the ids of the chunks that the customer feedback is split into."""
    with noted(context, "all chunks"):
        time.sleep(_WORK)
        return list(chunks())


@tool
def analyze_chunk(chunk_id: int, context: ToolContext) -> ChunkMetrics:
    """Count ratings, moods and complaints in one chunk of the feedback.

    Args:
        chunk_id: An id from list_chunks.
    """
    known = chunks()
    if chunk_id not in known:
        raise ToolFailed(f"There is no chunk {chunk_id}; there are {', '.join(map(str, known))}.")
    with noted(context, f"chunk {chunk_id}"):
        time.sleep(_WORK)
        return measure(chunk_id, known[chunk_id])


@tool
def aggregate_results(results: list[ChunkMetrics], context: ToolContext) -> Report:
    """Add the figures of all chunks up.

    Args:
        results: What analyze_chunk returned for each chunk, unchanged.
    """
    with noted(context, f"{len(results)} chunks"):
        time.sleep(_WORK)
        try:
            return merge(results)
        except ValueError as error:
            raise ToolFailed(str(error)) from error


feedback_analyst: Agent = Agent(
    "feedback_analyst",
    model=os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL,
    tools=[list_chunks, analyze_chunk, aggregate_results],
    instructions=(
        "You analyse customer feedback. First list the chunks. Then call analyze_chunk for each of them, one after "
        "the other, one call at a time. Then call aggregate_results once, with what analyze_chunk returned for every "
        "chunk. At last write a report of at most twelve lines of plain text from those figures, and from nothing "
        "else: the mean rating, how it developed, the best and the worst product, and what people complain about."
    ),
    description="Goes through customer feedback chunk by chunk and writes a report.",
    max_turns=20,
)
