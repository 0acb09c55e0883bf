"""A debate that asks before it costs more than agreed: two members in turns, and a budget that both use up together."""

from __future__ import annotations

from agentspan.agents import Agent, Budget, Team, run

pro = Agent("debate_pro", model="openai/gpt-4o", instructions="Argue for it, in two sentences.")
contra = Agent(
    "debate_contra",
    model="openai/gpt-4o",
    instructions="Argue against it, in two sentences. Say AGREED once you are convinced.",
)

agent = Team(
    "debate",
    [pro, contra],
    strategy="round_robin",
    max_turns=20,
    until="AGREED",
    budget=Budget(cost=0.20, deadline=3_600, default="finish"),
)

if __name__ == "__main__":
    print(run(agent, "Tea is better than coffee.").output)
