"""An agent with tools of an MCP server, of an HTTP address and of its own; needs the extra `mcp`.

agentspan agent run examples/librarian.py:agent "Lend Middlemarch to Ann, if it is in. What is it about?"
"""

from __future__ import annotations

import sys
from pathlib import Path

from agentspan.agents import Agent, Retry, http_tool, mcp_tool, tool, toolset

HERE = Path(__file__).parent

library = mcp_tool(
    command=[sys.executable, str(HERE / "servers" / "library.py")],
    name="library",
    pin=HERE / "servers" / "library.tools.json",
    retry=Retry(1),
)

about = http_tool(
    "about",
    "What an encyclopedia says of a book.",
    "https://en.wikipedia.org/api/rest_v1/page/summary/{title}",
    headers={"User-Agent": "librarian (an example)"},
    max_bytes=20_000,
)


@tool
def greet(reader: str) -> str:
    """How to greet a reader."""
    return f"Good day, {reader}."


agent = Agent(
    "librarian",
    model="openai/gpt-4o",
    instructions="You lend books. Greet readers, and look before you lend.",
    tools=[library, toolset([about], prefix="book_"), greet],
)
