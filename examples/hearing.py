"""A hearing that asks before it costs more than agreed: experts beside each other, who use one budget up together."""

from __future__ import annotations

from agentspan.agents import Agent, Budget, Team, run, tool


@tool
def look_up(topic: str) -> str:
    """Look up what was decided before about a topic."""
    return f"Nothing was decided about {topic}."


law = Agent("hearing_law", model="openai/gpt-4o", instructions="Say what the law has against it.", tools=[look_up])
money = Agent("hearing_money", model="openai/gpt-4o", instructions="Say what it costs.")

agent = Team(
    "hearing",
    [law, money],
    strategy="parallel",
    synthesis="Say what to do, in one sentence.",
    budget=Budget(cost=0.20, deadline=3_600, default="finish"),
)

if __name__ == "__main__":
    print(run(agent, "We sell tea on the moon.").output)
