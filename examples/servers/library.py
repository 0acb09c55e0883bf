"""A library as an MCP server, for `examples/librarian.py`; it speaks on its standard streams."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

SHELVES = {"Middlemarch": 2, "Walden": 0}

library = MCPServer("library")


@library.tool(name="books.find")
def find(title: str) -> int:
    """How many copies of a book are in.

    Args:
        title: All of its title.
    """
    if title not in SHELVES:
        raise ToolError(f"The library has no {title}; it has {', '.join(SHELVES)}.")
    return SHELVES[title]


@library.tool(name="books.lend")
def lend(title: str, reader: str) -> str:
    """Lend a book to a reader."""
    if find(title) == 0:
        raise ToolError(f"All copies of {title} are out.")
    SHELVES[title] -= 1
    return f"{reader} has {title}."


if __name__ == "__main__":
    library.run()
