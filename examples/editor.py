"""An agent whose model a worker calls: the texts that it edits arrive to the byte, and the provider's key stays here.

OPENAI_API_KEY=… agentspan agent run examples/editor.py:agent "Put {\\"a\\": 1} into notes.json."
"""

from __future__ import annotations

from pathlib import Path

from agentspan.agents import Agent, ContextBudget, Retry, tool


@tool(retry=Retry(1))
def write(name: str, text: str) -> str:
    """Write a file of this folder.

    Args:
        name: Its name, without a folder.
        text: All of it.
    """
    path = Path(Path(name).name)
    path.write_text(text, encoding="utf-8")
    return f"{len(text)} characters are in {path}."


@tool
def read(name: str) -> str:
    """Read a file of this folder.

    Args:
        name: Its name, without a folder.
    """
    return Path(Path(name).name).read_text(encoding="utf-8")


agent = Agent(
    "editor",
    model="openai/gpt-4o",
    instructions="Edit the files that you are asked to. Write texts as they are given.",
    tools=[write, read],
    model_place="worker",
    context=ContextBudget(max_chars=200_000),
)
