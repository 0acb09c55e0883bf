"""A travel desk whose prompts are looked at by a model, while the desk's own model is asked already."""

from __future__ import annotations

from agentspan.agents import Agent, GuardrailError, LLMGuardrail, run, tool

on_topic = LLMGuardrail(
    "openai/gpt-4o-mini",
    "The text asks about a journey.",
    position="input",
    on_fail="raise",
    name="on_topic",
    blocking=False,
)
"""Costs no time where it passes: no tool runs, and nothing of the answer is told, until it has."""


@tool
def trains(origin: str, destination: str) -> list[str]:
    """The next trains between two towns."""
    return [f"{origin} 09:12 {destination} 11:40", f"{origin} 10:12 {destination} 12:40"]


agent = Agent(
    "travel_desk",
    model="openai/gpt-4o",
    tools=[trains],
    instructions="Find journeys.",
    guardrails=[on_topic],
)

if __name__ == "__main__":
    try:
        print(run(agent, "When does the next train leave Basel for Bern?").output)
    except GuardrailError as error:
        print(error.reason)
