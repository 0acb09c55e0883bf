"""An agent with a credential: its tool is handed the token, the model and the server never see it.

GITHUB_TOKEN=… agentspan agent run examples/release.py:agent "Which releases has python/cpython?"
"""

from __future__ import annotations

import httpx

from agentspan.agents import Agent, Retry, ToolContext, ToolFailed, tool


@tool(credentials=("GITHUB_TOKEN",), retry=Retry(3, delay=5), timeout=30)
async def releases(repository: str, context: ToolContext) -> list[str]:
    """The newest releases of a repository on GitHub.

    Args:
        repository: Such as python/cpython.
    """
    headers = {"Authorization": f"Bearer {context.credentials['GITHUB_TOKEN']}"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.get(f"https://api.github.com/repos/{repository}/releases", params={"per_page": 5})
    if answer.status_code == 404:
        raise ToolFailed(f"There is no repository {repository}.")
    return [release["tag_name"] for release in answer.raise_for_status().json()]


agent = Agent("release", model="openai/gpt-4o", instructions="Answer in one sentence.", tools=[releases])
