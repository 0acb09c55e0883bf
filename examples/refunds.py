"""Money goes back only when a person says so: approvals with a deadline, a question, and somebody who is told."""

from __future__ import annotations

from agentspan.agents import Agent, Approval, Request, human_tool, start, tool


@tool
def order(number: str) -> dict[str, int]:
    """What was paid for an order, in cents."""
    return {"A-1": {"paid": 1200}, "A-2": {"paid": 45000}}[number]


@tool(approval=Approval(lambda cents: cents > 2000, deadline=86_400, default="reject"))
def refund(number: str, cents: int) -> str:
    """Pay money back for an order."""
    return f"{cents} cents for {number} are on their way"


ask_customer = human_tool("ask_customer", "Ask the customer what is unclear.", deadline=86_400)


def tell(request: Request) -> None:
    print(f"{request.agent} asks: {request.tool} {request.args}\n  agentspan request approve {request.id}")


agent = Agent(
    "refunds",
    model="openai/gpt-4o",
    tools=[order, refund, ask_customer],
    instructions="Refund what the customer asks for, if it was paid.",
    on_request=tell,
)

if __name__ == "__main__":
    print(start(agent, "Please refund 450.00 of A-2.").result().output)
