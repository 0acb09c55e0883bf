"""Calling an agent's `CallbackHandler`s, from the events of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from agentspan.declare.callbacks import CallbackHandler
from agentspan.reading.events import Event
from agentspan.reading.result import AgentResult
from agentspan.runtime.stream import EventStream

T = TypeVar("T")

Values = dict[str, Any]

Call = tuple[str, Event, Values]
"""Which method, the event it is about, and what else it is given."""


class Callbacks:
    """The handlers of one run.

    Args:
        handlers: What is called, in this order.
        agent: The agent's name.
    """

    def __init__(self, handlers: Sequence[CallbackHandler], agent: str) -> None:
        self._handlers = handlers
        self._agent = agent
        self._begun = False
        self._asked: Event | None = None  # the step whose model has not answered yet

    def tell(self, event: Event) -> None:
        """Call what an event stands for."""
        for name, about, values in self._calls(event):
            common = {"agent_name": self._who(about), "execution_id": about.execution_id, "step": about.step}
            for handler in self._handlers:
                if getattr(handler, name)(**common, **values):
                    warnings.warn(f"What {name} of a callback returns changes nothing here.", stacklevel=2)

    def _who(self, event: Event) -> str:
        """Who did it: of a run that agents hand over the one at work, else the called agent, or the agent itself."""
        return event.agent or (event.path[-1] if event.path else self._agent)

    def _calls(self, event: Event) -> Iterator[Call]:
        if not self._begun:
            self._begun = True
            yield "on_agent_start", event, {}
        if self._asked is not None and _is_after(event, self._asked):
            yield "on_model_end", self._asked, {"llm_result": _answer(event, self._asked)}
            self._asked = None
        yield from ((name, event, values) for name, values in self._call_of(event))

    def _call_of(self, event: Event) -> Iterator[tuple[str, Values]]:
        about = {"tool_name": event.tool_name, "call_id": event.call_id}
        match event.type:
            case "step":
                self._asked = event
                yield "on_model_start", {}
            case "tool_call":
                yield "on_tool_start", {**about, "args": event.args}
            case "tool_result":
                yield "on_tool_end", {**about, "result": event.result, "error": event.error}
            case "done" | "error":
                yield "on_agent_end", {"result": event.output, "error": event.error}

    def follow(self, stream: EventStream[T]) -> AgentResult[T]:
        """Tell of all events of a run; what it gave."""
        for event in stream:
            self.tell(event)
        return stream.get_result()

    async def follow_async(self, stream: EventStream[T]) -> AgentResult[T]:
        """The same on an event loop."""
        async for event in stream:
            self.tell(event)
        return await stream.get_result_async()


def _is_after(event: Event, step: Event) -> bool:
    """Whether the model of a step has answered by an event: its agent goes on, or whoever called that agent does."""
    return event.path != step.path or event.type in ("step", "tool_call", "done", "error")


def _answer(event: Event, step: Event) -> Any:
    """What the model of a step answered, by the first event after that; None where it called tools."""
    if event.type == "tool_result" and (*event.path, event.tool_name) == step.path and event.error is None:
        return event.result
    return event.output if event.path == step.path else None
