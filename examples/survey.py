"""A survey whose calls share what they have found, and whose instructions show it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentspan.agents import Agent, StateTemplate, ToolContext, start, tool

PAGES = {"prices": "Tea costs 3 euros.", "hours": "Open from 8 to 16.", "menu": "Tea and cake."}


class Survey(BaseModel):
    """What the calls of a run share."""

    shop: str = "the shop"
    read: list[str] = Field(default_factory=list)
    facts: dict[str, str] = Field(default_factory=dict)


@tool
def read_page(page: str, context: ToolContext) -> str:
    """Read a page of the shop: prices, hours or menu."""
    if page in context.state.read:
        return "You have read that page."
    context.add_to_state(read=[page], facts={page: PAGES[page]})
    return PAGES[page]


agent = Agent(
    "survey",
    model="openai/gpt-4o",
    tools=[read_page],
    state_type=Survey,
    instructions=StateTemplate(
        "You find out about {shop}. You have read these pages, so do not read them again: {read}"
    ),
    instructions_each="turn",
)

if __name__ == "__main__":
    handle = start(agent, "What does tea cost, and when?", context={"shop": "Ada's teas"})
    print(handle.result().output)
    print(handle.state())
