"""An agent that looks after a checkout: a few commands of git, and programs of its own without a network.

agentspan agent run examples/checkout.py:agent "Who has changed the most lines this month?"
"""

from __future__ import annotations

from agentspan.agents import Agent, ProcessLimits, cli_tool, code_tool

agent = Agent(
    "checkout",
    model="openai/gpt-4o",
    instructions="Answer questions about the repository. Count with a program, not in your head.",
    tools=[
        cli_tool(["git log", "git diff", "git blame", "git status"], folder=".", limits=ProcessLimits(time=30)),
        code_tool(limits=ProcessLimits(time=20, memory=512, network=False)),
    ],
)
