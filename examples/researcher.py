"""A researcher that always answers: out of turns, or once it has read the summary, it says what it knows."""

from __future__ import annotations

from agentspan.agents import Agent, TokenUsageTermination, ToolCallTermination, run, tool

PAGES = {"whales": "Whales sleep with half of their brain.", "summary": "All mammals sleep."}


@tool
def search(query: str) -> list[str]:
    """Titles of pages about a query."""
    return sorted(PAGES)


@tool
def read_page(title: str) -> str:
    """The text of a page."""
    return PAGES[title]


@tool
def read_summary() -> str:
    """What there is to know, in short. Read it last."""
    return PAGES["summary"]


agent = Agent(
    "researcher",
    model="openai/gpt-4o",
    tools=[search, read_page, read_summary],
    instructions="Find out what you are asked, and say which pages you have read.",
    max_turns=12,
    on_max_turns="answer",
    termination=ToolCallTermination("read_summary") | TokenUsageTermination(max_total_tokens=50_000),
    required_tools=["search"],
)

if __name__ == "__main__":
    result = run(agent, "Do whales sleep?")
    print(result.output)
    print(f"({result.finish_reason} after {result.steps} steps)")
