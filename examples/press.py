"""A press desk: an editor decides about what its guardrails would rather not let out."""

from __future__ import annotations

from agentspan.agents import Agent, Guardrail, GuardrailContext, GuardrailResult, RegexGuardrail, run, tool

ARCHIVE = {"merger": "Talks with Fjord & Co. Embargo until Friday."}


@tool(guardrails=[RegexGuardrail("(?i)embargo", on_fail="human", name="embargo", message="It is not public yet.")])
def archive(topic: str) -> str:
    """What our archive has about a topic."""
    return ARCHIVE.get(topic, "Nothing.")


def calm(answer: str) -> GuardrailResult:
    """Looks at the answer."""
    return GuardrailResult(passed="!" not in answer, message="It shouts.")


def known_asker(prompt: str, context: GuardrailContext) -> GuardrailResult:
    """Looks at the prompt, and at who asks."""
    return GuardrailResult(passed="outlet" in context.context, message="Nobody knows who asks.")


agent = Agent(
    "press_desk",
    model="openai/gpt-4o",
    tools=[archive],
    instructions="Answer questions of journalists, in two sentences.",
    guardrails=[
        Guardrail(known_asker, position="input", on_fail="human", deadline=3600),
        Guardrail(calm, on_fail="human", deadline=600, default="approve"),
    ],
)

if __name__ == "__main__":
    print(run(agent, "What is new about the merger?", context={"outlet": "The Herald"}).output)
