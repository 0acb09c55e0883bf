"""An agent without tools: one model call."""

from agentspan.agents import Agent, ModelSettings

agent = Agent(
    name="greeter",
    model="anthropic/claude-sonnet-4-5",
    instructions="Greet the user by name, in one sentence.",
    model_settings=ModelSettings(max_tokens=200, temperature=0.2),
)
