"""An agent of two models: where the first one refuses or is away, the second goes on with the conversation.

ANTHROPIC_API_KEY=… OPENAI_API_KEY=… agentspan agent run examples/steady.py:agent "How long is a marathon in miles?"
"""

from __future__ import annotations

from agentspan.agents import Agent, ModelSettings, tool


@tool
def miles(kilometres: float) -> float:
    """Convert kilometres to miles."""
    return kilometres / 1.609344


agent = Agent(
    "steady",
    model=("anthropic/claude-opus-4-8", "openai/gpt-5"),
    instructions="Answer in one sentence. Convert with the tool.",
    tools=[miles],
    model_settings=ModelSettings(max_tokens=8192, thinking_tokens=2048),
)
