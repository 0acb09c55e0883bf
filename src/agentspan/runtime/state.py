"""What a handle tells of the state that the calls of its run share."""

from __future__ import annotations

from typing import Any

from agentspan.declare.state import StateType
from agentspan.reading.history import History
from agentspan.reading.state import changes_of, state_of
from agentspan.runtime import aio
from agentspan.stored.state import StateChange


class RunState:
    """The part of a handle that reads its run's state."""

    _history: History
    _state: StateType | None

    def state(self) -> Any:
        """The state that the calls of the run share, as of now.

        Of the agent's `state_type` where the handle was made with the agent, else a dict; None where the agent has
        none, and before the first turn.

        Raises:
            NotFound: The server has no such run.
        """
        found = state_of(self._history)
        return found if found is None or self._state is None else self._state.read(found)

    def state_changes(self) -> list[StateChange]:
        """All changes of that state, oldest first: by which call, and what it replaced; reads all steps.

        Raises:
            NotFound: The server has no such run.
        """
        return changes_of(self._history)

    async def state_async(self) -> Any:
        """The state of the run; see `state`."""
        return await aio.in_thread(self.state)

    async def state_changes_async(self) -> list[StateChange]:
        """All changes of the state; see `state_changes`."""
        return await aio.in_thread(self.state_changes)
