"""Tools whose work is done elsewhere: by an MCP server, or behind an address. Workers make the calls."""
