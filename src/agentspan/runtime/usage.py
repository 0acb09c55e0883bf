"""What a handle tells of what its run has used, and who used it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentspan.reading.used import by_agent, by_model, used_in
from agentspan.runtime import aio
from agentspan.stored.usage import Usage

if TYPE_CHECKING:
    from agentspan.runtime.runtime import AgentRuntime


class RunUsage:
    """The part of a handle that reads what models were asked for, in the run and in all that it has called."""

    execution_id: str
    runtime: AgentRuntime

    def usage_by_model(self) -> dict[str, Usage]:
        """The tokens of each model, `provider/name`, and what they cost; reads all steps.

        Those of agents that were called, of members of a team, of agents that took over and of guardrails are among
        them, so the sum over all models is what the run has used.

        Raises:
            NotFound: The server has no such run.
        """
        return by_model(used_in(self.runtime.client, self.execution_id))

    def usage_by_agent(self) -> dict[str, Usage]:
        """The same by each agent that was at work, by its name; what its guardrails asked is among it.

        Raises:
            NotFound: The server has no such run.
        """
        return by_agent(used_in(self.runtime.client, self.execution_id))

    async def usage_by_model_async(self) -> dict[str, Usage]:
        """The tokens of each model; see `usage_by_model`."""
        return await aio.in_thread(self.usage_by_model)

    async def usage_by_agent_async(self) -> dict[str, Usage]:
        """The tokens of each agent; see `usage_by_agent`."""
        return await aio.in_thread(self.usage_by_agent)
