"""What can be asked of a run by its id, without keeping its handle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from agentspan.control import all_runs
from agentspan.engine.client import Conductor
from agentspan.reading.result import AgentStatus
from agentspan.runtime import aio

if TYPE_CHECKING:
    from agentspan.runtime.handle import AgentHandle


class ById(ABC):
    """The verbs of a handle, each with the run's id in front; and those for all runs of an agent."""

    client: Conductor

    @abstractmethod
    def handle(self, execution_id: str) -> AgentHandle[Any]:
        """A run on this server, by its id."""

    def get_status(self, execution_id: str) -> AgentStatus:
        """What a run is doing now; see `AgentHandle.get_status`."""
        return self.handle(execution_id).get_status()

    def pause(self, execution_id: str) -> None:
        """Stop a run at its next task; see `AgentHandle.pause`. `handle(execution_id).resume()` goes on."""
        self.handle(execution_id).pause()

    def cancel(self, execution_id: str, reason: str = "cancelled by a caller") -> None:
        """End a run; see `AgentHandle.cancel`."""
        self.handle(execution_id).cancel(reason)

    def pause_all(self, agent: str) -> list[str]:
        """Pause all runs of an agent that are running now; their ids. Those that begin later are not paused.

        Args:
            agent: Its name.
        """
        return all_runs.pause_all(self.client, agent)

    def resume_all(self, agent: str) -> list[str]:
        """Resume all runs of an agent that are paused; their ids.

        Args:
            agent: Its name.
        """
        return all_runs.resume_all(self.client, agent)

    async def pause_all_async(self, agent: str) -> list[str]:
        """Pause all runs of an agent, without keeping the event loop waiting; see `pause_all`."""
        return await aio.in_thread(self.pause_all, agent)

    async def resume_all_async(self, agent: str) -> list[str]:
        """Resume all runs of an agent, without keeping the event loop waiting; see `resume_all`."""
        return await aio.in_thread(self.resume_all, agent)

    async def get_status_async(self, execution_id: str) -> AgentStatus:
        """What a run is doing now, without keeping the event loop waiting."""
        return await self.handle(execution_id).get_status_async()

    async def pause_async(self, execution_id: str) -> None:
        """Stop a run at its next task, without keeping the event loop waiting."""
        await self.handle(execution_id).pause_async()

    async def cancel_async(self, execution_id: str, reason: str = "cancelled by a caller") -> None:
        """End a run, without keeping the event loop waiting."""
        await self.handle(execution_id).cancel_async(reason)
