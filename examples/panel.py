"""A panel: two experts beside each other, and one answer of both."""

from __future__ import annotations

from pydantic import BaseModel

from agentspan.agents import Agent, Team, run


class Verdict(BaseModel):
    """What the panel says."""

    go: bool
    why: str


law = Agent("panel_law", model="openai/gpt-4o", instructions="Say what the law has against the plan.")
money = Agent("panel_money", model="openai/gpt-4o", instructions="Say what the plan costs, and what it brings.")
chair = Agent("panel_chair", model="openai/gpt-4o", instructions="Decide.", output_type=Verdict)

agent = Team("panel", [law, money], strategy="parallel", synthesis=chair)

if __name__ == "__main__":
    result = run(agent, "We sell tea on the moon.")
    print(result.output)
    print(result.sub_results)
