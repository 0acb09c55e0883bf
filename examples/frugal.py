"""Research that asks before it costs more than agreed: a budget, who is told, and what happens when nobody decides."""

from __future__ import annotations

from agentspan.agents import Agent, Budget, ModelSettings, Price, Request, start, tool

PAGES = {"tea": "Tea is a leaf.", "milk": "Milk is white.", "sugar": "Sugar is sweet."}


@tool
def read(word: str) -> str:
    """Read what is known about a word."""
    return PAGES.get(word, f"Nothing is known about {word}.")


def tell(request: Request) -> None:
    print(f"{request.agent} has used {request.args['spent']}\n  agentspan request extend {request.id} --cost 0.50")


agent = Agent(
    "frugal",
    model="openai/gpt-4o",
    model_settings=ModelSettings(prices={"openai/gpt-4o": Price(input=2.5, output=10)}),
    tools=[read],
    instructions="Read about each thing that is asked for, then sum up.",
    budget=Budget(cost=0.50, turns=20, deadline=86_400, default="finish"),
    on_request=tell,
)

if __name__ == "__main__":
    print(start(agent, "What belongs into tea?").result().output)
