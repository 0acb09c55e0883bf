"""A help desk: three agents on one conversation, who hand over to each other."""

from __future__ import annotations

from agentspan.agents import Agent, Budget, Team, run, tool

ORDERS = {"A-1": "late", "A-2": "on its way"}


@tool
def state_of(order: str) -> str:
    """Where an order is."""
    return ORDERS.get(order, "unknown")


@tool
def pay_back(order: str, euros: int) -> str:
    """Pay money back for an order."""
    return f"{euros} euros for {order} are on their way"


reception = Agent(
    "desk_reception",
    model="openai/gpt-4o",
    instructions="Find out what the customer needs, and hand over to who can help. Say goodbye at the end.",
    description="Talks to the customer.",
)
orders = Agent("desk_orders", model="openai/gpt-4o", tools=[state_of], description="Knows where orders are.")
money = Agent("desk_money", model="openai/gpt-4o", tools=[pay_back], description="Pays money back for late orders.")

agent = Team(
    "helpdesk",
    [reception, orders, money],
    strategy="swarm",
    allowed_transitions={"desk_money": ["desk_reception"]},
    budget=Budget(cost=0.50),
)

if __name__ == "__main__":
    print(run(agent, "Where is A-1? I want my money back.").output)
