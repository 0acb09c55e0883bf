"""A run that a test writes down: the agent's own tools run, the model and the server are left out."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from agentspan.declare.agent import Agent
from agentspan.declare.credentials import hand_out
from agentspan.declare.tool import Tool, ToolContext
from agentspan.errors import ToolFailed
from agentspan.reading.events import AnyEvent, Event, EventType
from agentspan.reading.result import AgentResult
from agentspan.reading.timeline import ModelCall, Step, ToolCall
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import ResultError, to_jsonable
from agentspan.stored.usage import Usage

_RUN = "mock"
_THEN = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True, repr=False)
class ScriptedEvent(Event):
    """An event that a test wrote; made by `MockEvent`.

    Attributes:
        tool_name: The tool (`tool_call`, `tool_result`).
        args: The call's arguments.
        result: What the tool returned.
        output: The answer (`done`).
        error: What went wrong (`error`).
        text: What was thought, said or asked.
        target: The agent that goes on (`handoff`).
        guardrail_name: The guardrail (`guardrail_pass`, `guardrail_fail`).
    """

    tool_name: str | None = None
    args: dict[str, Any] | None = None
    result: Any = None
    output: Any = None
    error: str | None = None
    text: str | None = None
    target: str | None = None
    guardrail_name: str | None = None

    @property
    def content(self) -> str | None:
        """What it says, as text."""
        return super().content if self.text is None else self.text


def _event(type_: EventType, **values: Any) -> ScriptedEvent:
    # A stored run gives no event of some of these types yet; what a test writes may have them.
    return ScriptedEvent(type=type_.value, execution_id=_RUN, seq=0, step=0, timestamp=_THEN, **values)


class MockEvent:
    """The events to write a run with."""

    @staticmethod
    def thinking(content: str) -> ScriptedEvent:
        """The model thinks."""
        return _event(EventType.THINKING, text=content)

    @staticmethod
    def message(content: str) -> ScriptedEvent:
        """The model says something on the way."""
        return _event(EventType.MESSAGE, text=content)

    @staticmethod
    def tool_call(name: str, args: dict[str, Any] | None = None) -> ScriptedEvent:
        """The model calls a tool."""
        return _event(EventType.TOOL_CALL, tool_name=name, args=args or {})

    @staticmethod
    def tool_result(name: str, result: Any = None) -> ScriptedEvent:
        """What a call gives, in place of running the tool."""
        return _event(EventType.TOOL_RESULT, tool_name=name, result=result)

    @staticmethod
    def handoff(target: str) -> ScriptedEvent:
        """Another agent goes on."""
        return _event(EventType.HANDOFF, target=target)

    @staticmethod
    def guardrail_pass(name: str, content: str = "") -> ScriptedEvent:
        """A guardrail finds nothing."""
        return _event(EventType.GUARDRAIL_PASS, guardrail_name=name, text=content)

    @staticmethod
    def guardrail_fail(name: str, content: str = "") -> ScriptedEvent:
        """A guardrail finds something."""
        return _event(EventType.GUARDRAIL_FAIL, guardrail_name=name, text=content)

    @staticmethod
    def waiting(content: str = "") -> ScriptedEvent:
        """The run waits for somebody."""
        return _event(EventType.WAITING, text=content)

    @staticmethod
    def done(output: Any) -> ScriptedEvent:
        """The model answers."""
        return _event(EventType.DONE, output=output)

    @staticmethod
    def error(content: str) -> ScriptedEvent:
        """The run fails."""
        return _event(EventType.ERROR, error=content)


def mock_run(
    agent: Agent[Any], prompt: str, events: Sequence[ScriptedEvent], *, auto_execute_tools: bool = True
) -> AgentResult[Any]:
    """What a run would give in which the model does what `events` say.

    A tool is run with the arguments checked, and what it gives or raises is told as a worker would tell it. Where the
    script has a `tool_result` for a call, that is what the call gives, and the tool is not run.

    Args:
        agent: The agent whose tools the model calls.
        prompt: The user's message.
        events: What happens, in order; each tool call and the answer count as a step.
        auto_execute_tools: Whether tools run at all.

    Raises:
        AssertionError: The script calls a tool that the agent does not have, and has no result for it.
    """
    script = _Script(agent, prompt)
    script.play(events, run_tools=auto_execute_tools)
    failure = next((event for event in script.events if event.type == "error"), None)
    return AgentResult(
        output=cast("str", script.answer),
        execution_id=_RUN,
        status="COMPLETED" if failure is None else "FAILED",
        finish_reason="stop" if failure is None else "error",
        steps=script.step,
        usage=Usage(),
        error=None if failure is None else failure.error,
        source=script,
    )


class _Script:
    """A run as far as it was played; the source of its result."""

    def __init__(self, agent: Agent[Any], prompt: str) -> None:
        self.agent = agent
        self.prompt = prompt
        self.events: list[Event] = []
        self.calls: list[tuple[int, ToolCall]] = []
        self.answer: Any = ""
        self.step = 0

    def play(self, events: Sequence[ScriptedEvent], *, run_tools: bool) -> None:
        results = Counter(event.tool_name for event in events if event.type == "tool_result")
        for event in events:
            if event.type in ("tool_call", "done"):
                self.step += 1
            self._add(event)
            if event.type == "done":
                self.answer = event.output
            elif event.type == "tool_result":
                self._settle(event)
            elif event.type == "tool_call":
                self._call(event)
                if results[event.tool_name]:
                    results[event.tool_name] -= 1
                elif run_tools:
                    done = _event(EventType.TOOL_RESULT, tool_name=event.tool_name, **self._called(event))
                    self._add(done)
                    self._settle(done)

    def _add(self, event: ScriptedEvent) -> None:
        self.events.append(replace(event, seq=len(self.events) + 1, step=max(1, self.step)))

    def _call(self, event: ScriptedEvent) -> None:
        number = len(self.calls) + 1
        call = ToolCall(call_id=f"call_{number}", tool=event.tool_name or "", args=event.args or {})
        self.calls.append((self.step, call))

    def _settle(self, event: ScriptedEvent) -> None:
        """Give the oldest open call of the tool its result."""
        for place, (step, call) in enumerate(self.calls):
            if call.tool == event.tool_name and call.result is None and call.error is None:
                told = {"error": event.error} if event.error is not None else {"result": event.result}
                self.calls[place] = (step, replace(call, **told))
                return

    def _called(self, event: ScriptedEvent) -> dict[str, Any]:
        tool = next((each for each in self.agent.tools if each.name == event.tool_name), None)
        if tool is None:
            known = ", ".join(each.name for each in self.agent.tools) or "none"
            raise AssertionError(
                f"The script calls the tool {event.tool_name!r}, and the agent {self.agent.name} has {known}."
            )
        return _outcome(tool, event.args or {}, self._context(tool))

    def _context(self, tool: Tool[..., Any]) -> ToolContext:
        number = len(self.calls)
        return ToolContext(
            idempotency_key=f"{_RUN}/{self.step}/tool_{number}",
            execution_id=_RUN,
            agent=self.agent.name,
            tool=tool.name,
            call_id=f"call_{number}",
            step=self.step,
        )

    # ---- what a result reads ----------------------------------------------------------------------------

    def steps(self, last: int | None = None) -> list[Step]:
        found = list(self._steps())
        return found if last is None else found[max(0, len(found) - last) :]

    def _steps(self) -> Iterator[Step]:
        for number in range(1, self.step + 1):
            calls = tuple(call for step, call in self.calls if step == number)
            answer = None if calls else str(self.answer)
            model = ModelCall(model=self.agent.model, attempts=(), answer=answer)
            yield Step(number=number, segment_id=_RUN, model=model, calls=calls)

    def all_events(self) -> list[AnyEvent]:
        return cast("list[AnyEvent]", list(self.events))

    def messages(self) -> list[dict[str, str]]:
        said = [{"role": "user", "message": self.prompt}]
        return [*said, {"role": "assistant", "message": str(self.answer)}] if self.answer else said


def _outcome(tool: Tool[..., Any], args: dict[str, Any], context: ToolContext) -> dict[str, Any]:
    """What the model is told of a call, as the fields of an event."""
    try:
        handed = hand_out(tool.credentials, f"The tool {tool.name} of the agent {context.agent}", None)
        value = tool.invoke(args, replace(context, credentials=handed))
        return {"result": to_jsonable(_awaited(value) if inspect.isawaitable(value) else value)}
    except (ArgumentError, ResultError, ToolFailed) as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - a tool's own code, which may raise anything
        problem = f"{type(error).__name__}: {error}"
    return {"result": {"error": problem}, "error": problem}


def _awaited(value: Any) -> Any:
    async def wait() -> Any:
        return await value

    # On a thread of its own: the test may be running on an event loop.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, wait()).result()
