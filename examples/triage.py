"""Whoever answers first finds out what it is about, and hands over: the next agent goes on in the same conversation.

OPENAI_API_KEY=… agentspan agent run examples/triage.py:agent "I was charged twice for A-2." (with the extra `models`)
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspan.agents import Agent, OnToolResult, handoff, start, tool


@dataclass
class Claim:
    """What the customer wants back, and why."""

    order: str
    reason: str


@tool
def order(number: str) -> dict[str, int]:
    """What was paid for an order, in cents, and how often."""
    return {"A-1": {"paid": 1200, "times": 1}, "A-2": {"paid": 4500, "times": 2}}[number]


@tool(approval=True)
def refund(number: str, cents: int) -> str:
    """Pay money back for an order."""
    return f"{cents} cents for {number} are on their way"


@tool
def tracking(number: str) -> str:
    """Where an order is."""
    return {"A-1": "delivered", "A-2": "lost"}[number]


refunds = Agent(
    "refund_desk",
    model="openai/gpt-4o",
    tools=[order, refund],
    description="Pays money back.",
    instructions="Pay back what was paid twice, or for what was lost.",
)
shipping = Agent(
    "shipping_desk",
    model="openai/gpt-4o",
    tools=[tracking],
    description="Knows where orders are.",
    handoffs=[handoff(refunds, when=OnToolResult("tracking", "lost"))],
)
agent = Agent(
    "triage",
    model="openai/gpt-4o",
    instructions="Find out what the customer needs, and hand over to who does that.",
    description="Finds out who can help.",
    handoffs=[shipping, handoff(refunds, input_type=Claim)],
    allowed_transitions={"refund_desk": ["triage"]},
    max_turns=30,
)

if __name__ == "__main__":
    handle = start(agent, "I was charged twice for A-2.")
    for event in handle.stream():
        print(event.agent, event.type, event.tool_name or event.target or "")
