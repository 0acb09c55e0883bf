"""What users declare, as frozen values: agents, tools, policies. Nothing here knows a server."""
