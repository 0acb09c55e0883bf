"""Customer feedback, chunk by chunk: the agent of the README."""

from agentspan.agents import Agent, tool

FEEDBACK = {
    1: ["Arrived early, works well.", "The box was crushed."],
    2: ["Battery lasts two days!", "Too loud for an office."],
    3: ["Support answered within an hour."],
}


@tool
def read_chunk(chunk_id: int) -> list[str]:
    """Read one chunk of the feedback.

    Args:
        chunk_id: Which one, from 1 to 3.
    """
    return FEEDBACK[chunk_id]


@tool
def word_counts(texts: list[str]) -> dict[str, int]:
    """Count the words of each text."""
    return {text: len(text.split()) for text in texts}


agent = Agent(
    name="feedback",
    model="openai/gpt-4o",
    tools=[read_chunk, word_counts],
    instructions="Read every chunk, count the words of each text, then say which text is the longest.",
)
