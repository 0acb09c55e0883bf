"""What tools are handed by their worker."""

from __future__ import annotations

from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.called import agents_around
from agentspan.declare.credentials import Credentials, Source, hand_out
from agentspan.errors import ConfigError, ToolFailed
from agentspan.worker.call import Served


def handed_to(served: Served, source: Source | None) -> Credentials:
    """The credentials of one call.

    Raises:
        ToolFailed: One of them is not there; another try would not find it either.
    """
    return hand_out(served.tool.credentials, f"The tool {served.tool.name} of the agent {served.agent}", source)


def require(agent: Agent[Any], source: Source | None) -> None:
    """Let no call begin that would miss a credential here, of this agent or of those around it.

    Raises:
        ConfigError: A tool asks for one that is not there.
    """
    for each in agents_around(agent):
        require(each, source)
    for tool in agent.tools:
        try:
            hand_out(tool.credentials, f"The tool {tool.name} of the agent {agent.name}", source)
        except ToolFailed as error:
            raise ConfigError(
                error.message,
                hint="Set it in the environment of this process, or give it by configure(credentials=…); "
                "start(…, serve=False) leaves the calls to workers elsewhere.",
            ) from error
