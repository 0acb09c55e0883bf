"""A newsroom: a researcher with tools, two reviewers beside each other, and an editor who asks them all."""

from __future__ import annotations

from agentspan.agents import Agent, Team, agent_tool, run, tool

ARCHIVE = {"tea": "Tea came to Europe around 1610.", "ink": "Ink is older than paper."}


@tool
def archive(topic: str) -> str:
    """What the archive has on a topic."""
    return ARCHIVE.get(topic, "nothing")


researcher = Agent(
    "news_researcher", model="openai/gpt-4o", tools=[archive], description="Finds what the archive has on a topic."
)
facts = Agent("news_facts", model="openai/gpt-4o", instructions="Say what is not proven in the text.")
style = Agent("news_style", model="openai/gpt-4o", instructions="Say what reads badly in the text.")
review = Team("news_review", [facts, style], strategy="parallel", description="Says what is wrong with a text.")

agent = Agent(
    "news_editor",
    model="openai/gpt-4o",
    tools=[agent_tool(researcher), agent_tool(review)],
    instructions="Write three sentences on the topic: research it, have your text reviewed, then give the final one.",
)

if __name__ == "__main__":
    print(run(agent, "tea").output)
