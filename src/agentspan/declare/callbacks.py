"""Functions that a program wants called while it waits for a run."""

from __future__ import annotations

from typing import Any


class CallbackHandler:
    """What `run()` calls on the way: subclass it, override what you need, and give `Agent(…, callbacks=[…])`.

    The process that waits for the run calls them, as it reads the run's events; where nobody waits, nothing is called.
    Each is given `agent_name`, `execution_id` and `step`, and what is named below. They watch: what they return changes
    nothing, and what they raise ends the waiting and not the run.
    """

    def on_agent_start(self, **kwargs: Any) -> Any:
        """The run has begun."""

    def on_agent_end(self, **kwargs: Any) -> Any:
        """The run is over: `result`, or `error`."""

    def on_model_start(self, **kwargs: Any) -> Any:
        """The model is asked."""

    def on_model_end(self, **kwargs: Any) -> Any:
        """The model has answered: `llm_result`, or None where it called tools."""

    def on_tool_start(self, **kwargs: Any) -> Any:
        """A tool is called: `tool_name`, `args`, `call_id`."""

    def on_tool_end(self, **kwargs: Any) -> Any:
        """A call is over: `tool_name`, `result`, `error`, `call_id`."""
