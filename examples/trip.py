"""Agents that hand a trip over to each other and share what is known of it, each in the words of its own instructions.

OPENAI_API_KEY=… agentspan agent run examples/trip.py:agent "To Oslo and back, for 300." (with the extra `models`)
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentspan.agents import (
    Agent,
    HandoffContext,
    RegexGuardrail,
    RunContext,
    StateTemplate,
    ToolContext,
    agent_tool,
    handoff,
    run,
    tool,
)


class Trip(BaseModel):
    """What is known of a trip."""

    city: str = "not known yet"
    booked: list[str] = Field(default_factory=list)
    left: int = 300


class Itinerary(BaseModel):
    """What the traveller gets in the end."""

    days: list[str]
    price: int


@tool
def decide(city: str, context: ToolContext) -> str:
    """Note where the trip goes to."""
    context.set_state(city=city)
    return "Noted."


@tool
def book(what: str, price: int, context: ToolContext) -> str:
    """Book a part of the trip."""
    if price > context.state.left:
        return f"Too much: {context.state.left} are left."
    context.add_to_state(booked=[what], left=-price)
    return "Booked."


def is_booked(turn: HandoffContext) -> bool:
    """Whether there is a way there and back."""
    return len(turn.state.booked) >= 2


def of_the_booker(context: RunContext) -> str:
    """What who books is told in each step."""
    return f"Book the way to {context.state.city} and back. {context.state.left} are left; spend as little as you can."


trains = Agent(
    "trains",
    model="openai/gpt-4o-mini",
    description="Finds and books trains.",
    tools=[book],
    state_type=Trip,
    instructions=StateTemplate("Book a train. There are {left} for it."),
)
writer = Agent(
    "writer",
    model="openai/gpt-4o",
    description="Writes the itinerary.",
    state_type=Trip,
    instructions=StateTemplate("Write the itinerary of a trip to {city} with {booked}."),
    output_type=Itinerary,
)
booker = Agent(
    "booker",
    model="openai/gpt-4o",
    description="Books what belongs to a trip.",
    tools=[agent_tool(trains, state="shared")],
    state_type=Trip,
    instructions=of_the_booker,
    instructions_each="turn",
    guardrails=[RegexGuardrail(r"\b\d{16}\b", position="input", on_fail="fix", name="card_numbers")],
    handoffs=[handoff(writer, when=is_booked)],
)
agent = Agent(
    "trip",
    model="openai/gpt-4o",
    description="Finds out where the traveller wants to go.",
    instructions="Ask back where it is not clear where the trip goes to; else note that, and hand over.",
    tools=[decide],
    state_type=Trip,
    handoffs=[booker],
)

if __name__ == "__main__":
    print(run(agent, "To Oslo and back, for 300.").output)
