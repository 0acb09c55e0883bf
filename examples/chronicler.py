"""A long read whose beginning is not lost: what no longer fits is summarised by the model, in a task of its own."""

from __future__ import annotations

from agentspan.agents import Agent, ContextBudget, start, tool

PAGES = {
    number: f"Page {number}: in the year {1600 + number} the river rose by {number % 7} feet." for number in range(400)
}


@tool
def page(number: int) -> str:
    """A page of the chronicle."""
    return PAGES.get(number, "There is no such page.")


agent = Agent(
    "chronicler",
    model="openai/gpt-4o",
    tools=[page],
    instructions="Read the chronicle page by page, until there are no more. Then name the years of the highest water.",
    context=ContextBudget(max_chars=20_000, keep_chars=8_000, summarise=True),
    max_turns=1_000,
)

if __name__ == "__main__":
    print(start(agent, "When was the water highest?").result().output)
