"""Functions that are called on a run's way: in the program that waits for it, or in the workers that serve it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentspan.errors import DefinitionError


class CallbackHandler:
    """What is called on a run's way: subclass it, and override what you need.

    Of `Agent(…, callbacks=[…])` the process that waits in `run()` calls them, as it reads the run's events; where
    nobody waits, nothing is called. They watch: what they raise ends the waiting and not the run.

    Of `Agent(…, hooks=[…])` the workers call them, in the very call that they tell of, and await what is `async`. What
    a `start` raises keeps that call from being made, and counts as a try of it that failed. What an `end` raises is
    logged, as the call was made. A worker that dies is told of no end, and the next one of a start again.

    Each is given `agent_name`, `execution_id` and `step`, and what is named below. What they return changes nothing.
    """

    def on_agent_start(self, **kwargs: Any) -> Any:
        """The run has begun."""

    def on_agent_end(self, **kwargs: Any) -> Any:
        """The run is over: `result`, or `error`."""

    def on_model_start(self, **kwargs: Any) -> Any:
        """The model is asked."""

    def on_model_end(self, **kwargs: Any) -> Any:
        """The model has answered: `llm_result`; None where it called tools, or where events tell no answer."""

    def on_tool_start(self, **kwargs: Any) -> Any:
        """A tool is called: `tool_name`, `args`, `call_id`."""

    def on_tool_end(self, **kwargs: Any) -> Any:
        """A call is over: `tool_name`, `result`, `error`, `call_id`."""


def as_handlers(given: Sequence[CallbackHandler], what: str) -> tuple[CallbackHandler, ...]:
    """Handlers as they were given, in their order.

    Raises:
        DefinitionError: There is something else among them.
    """
    for each in given:
        if not isinstance(each, CallbackHandler):
            raise DefinitionError(f"{what} are objects of a subclass of CallbackHandler, not {each!r}")
    return tuple(given)
