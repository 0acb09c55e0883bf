"""What a person can do with the calls of a run, by the handle of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentspan.control import calls
from agentspan.reading.effects import effects_in
from agentspan.reading.history import History
from agentspan.reading.ledger import Effect
from agentspan.runtime import aio

if TYPE_CHECKING:
    from agentspan.runtime.runtime import AgentRuntime


class CallVerbs:
    """The verbs of a handle that are about calls of its run. None of them needs the agent's code."""

    execution_id: str
    runtime: AgentRuntime
    _history: History

    def effects(self) -> list[Effect]:
        """The effect ledger: each call whose tool was begun, so that it may have had an effect.

        Raises:
            NotFound: The server has no such run.
        """
        return effects_in(self.runtime.client, self.execution_id)

    def answer_call(self, call: str, value: Any, *, by: str = "a person") -> None:
        """Give an open call the result that its tool would have given; the run goes on with it.

        A worker that is at the call is told that nobody waits for it, by `ToolContext.cancelled`.

        Args:
            call: The model's id of the call, the beginning of it, or its tool where only one of its calls is open.
            value: The result.
            by: Who says so; kept with the run.

        Raises:
            Conflict: The run is over, or the call was over just before; or it waits for a decision, or is an agent.
            InputError: The value cannot be carried as JSON, or the name fits several calls.
            NotFound: No such call of the run is open.
        """
        calls.answer(self.runtime.client, self._history, call, value, by)

    def skip_call(self, call: str, reason: str, *, by: str = "a person") -> None:
        """Let the run go on without an open call: the model is told the reason as its error.

        Args:
            call: As for `answer_call`.
            reason: What the model reads.
            by: Who says so; kept with the run.

        Raises:
            Conflict: The run is over, or the call was over just before; or it waits for a decision, or is an agent.
            InputError: The reason is empty or too long, or the name fits several calls.
            NotFound: No such call of the run is open.
        """
        calls.skip(self.runtime.client, self._history, call, reason, by)

    def retry_call(self, call: str, *, by: str = "a person") -> None:
        """Have an open call tried again at once: one that hangs, or one whose next try is far off.

        A worker that is at it is told that nobody waits for it; what it gives does not count. The effect of that try
        may be there all the same.

        Args:
            call: As for `answer_call`.
            by: Who says so; kept with the run.

        Raises:
            Conflict: The run is over, or the call was over just before; or it waits for a decision, or is an agent.
            InputError: The name fits several calls.
            NotFound: No such call of the run is open.
        """
        calls.try_again(self.runtime.client, self._history, call, by)

    async def effects_async(self) -> list[Effect]:
        """The effect ledger; see `effects`."""
        return await aio.in_thread(self.effects)

    async def answer_call_async(self, call: str, value: Any, *, by: str = "a person") -> None:
        """Give an open call its result; see `answer_call`."""
        await aio.in_thread(lambda: self.answer_call(call, value, by=by))

    async def skip_call_async(self, call: str, reason: str, *, by: str = "a person") -> None:
        """Let the run go on without an open call; see `skip_call`."""
        await aio.in_thread(lambda: self.skip_call(call, reason, by=by))

    async def retry_call_async(self, call: str, *, by: str = "a person") -> None:
        """Have an open call tried again at once; see `retry_call`."""
        await aio.in_thread(lambda: self.retry_call(call, by=by))
