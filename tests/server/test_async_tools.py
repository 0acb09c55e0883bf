"""Asynchronous tools share one event loop; none of them can take it from the others."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, Retry, WouldBlock, run, tool
from agentspan.testing import Reply, call, calls, say
from agentspan.testing.plugin import Stage


def results(runtime: AgentRuntime, model: Stage, tools: list[Any], *asked: Reply, name: str) -> list[Any]:
    """What one turn of calls gave: results, or errors."""
    agent = Agent(name, model=model.play([calls(*asked), say("done")]), tools=tools)
    handle = runtime.start(agent, "Go.")
    assert handle.result(timeout=90).output == "done"
    found = [event for event in handle.stream() if event.type == "tool_result"]
    return [event.error or event.result for event in found]


@tool
async def quick(number: int) -> int:
    """Count."""
    await asyncio.sleep(0)
    return number


def test_an_exit_in_a_task_of_a_tool_ends_no_later_call(runtime: AgentRuntime, model: Stage) -> None:
    @tool(retry=Retry(1))
    async def spawns() -> str:
        """Start a task that exits."""

        async def exits() -> None:
            raise SystemExit(1)

        task = asyncio.ensure_future(exits())
        await asyncio.sleep(30)
        return str(task)

    (told,) = results(runtime, model, [spawns], call("spawns"), name="spawning")
    assert told == (
        "WorkerError: A task of an asynchronous tool raised SystemExit, which ended the event loop under this call."
    )
    asked = [call("quick", number=number) for number in range(3)]
    assert results(runtime, model, [quick], *asked, name="after_that") == [0, 1, 2]


def test_a_call_that_would_block_the_loop_says_what_to_do(runtime: AgentRuntime, model: Stage) -> None:
    inner = Agent("inner", model=model.play([call("quick", number=3), say("three")]), tools=[quick])

    @tool(retry=Retry(1))
    async def nested() -> str:
        """Run another agent."""
        return runtime.run(inner, "Go.").output

    @tool(retry=Retry(1))
    async def follows() -> list[str]:
        """Run another agent."""
        return [event.type for event in runtime.stream(inner, "Go.")]

    @tool(retry=Retry(1))
    async def nested_well() -> str:
        """Run another agent."""
        return (await asyncio.to_thread(runtime.run, inner, "Go.")).output

    asked = (call("nested"), call("follows"), call("nested_well"))
    blocked, followed, well = results(runtime, model, [nested, follows, nested_well], *asked, name="outer")
    for told in (blocked, followed):
        assert told.startswith(f"{WouldBlock.__name__}: ")
        assert "event loop" in told
    assert well == "three"


@pytest.mark.parametrize("how", ["blocks", "swallows"])
def test_a_time_limit_holds_whatever_the_tool_does(runtime: AgentRuntime, model: Stage, how: str) -> None:
    over = threading.Event()

    @tool(timeout=1, retry=Retry(1))
    async def blocks() -> str:
        """Block."""
        over.wait(20)
        return "late"

    @tool(timeout=1, retry=Retry(1))
    async def swallows() -> str:
        """Go on when cancelled."""
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return "late"

    chosen = {"blocks": blocks, "swallows": swallows}[how]
    try:
        (told,) = results(runtime, model, [chosen], call(how), name=f"late_{how}")
        assert told == f"TimeoutError: The tool {how} was not done after 1 s."
        assert not over.is_set(), "and nobody waited for it"
    finally:
        over.set()


def test_a_tool_that_holds_the_loop_is_named_and_keeps_no_other_waiting(
    runtime: AgentRuntime, model: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    over, held = threading.Event(), threading.Event()

    @tool
    async def holds() -> str:
        """Hold the loop."""
        held.set()
        over.wait(60)
        return "at last"

    holding = Agent("holding", model=model.play([call("holds"), say("done")]), tools=[holds])
    with caplog.at_level(logging.WARNING, logger="agentspan.worker"):
        handle = runtime.start(holding, "Go.")
        assert held.wait(60)
        assert results(runtime, model, [quick], call("quick", number=7), name="beside") == [7]
        assert not over.is_set()
        over.set()
        assert handle.result(timeout=60).output == "done"
    (record,) = [record for record in caplog.records if "held the event loop" in record.message]
    assert record.message.startswith(f"holding.holds of {handle.execution_id}, step 1 has held the event loop for 3 s")
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["at last"]


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        time.monotonic()
        return function(*args, **kwargs)

    return wrapper


def test_what_is_awaitable_is_awaited(runtime: AgentRuntime, model: Stage) -> None:
    @timed
    async def decorated(number: int) -> int:
        """Count."""
        await asyncio.sleep(0)
        return number

    def gives_an_awaitable(number: int) -> Awaitable[int]:
        """Count."""

        async def later() -> int:
            await asyncio.sleep(0)
            return number

        return later()

    async def adds(more: int, number: int) -> int:
        """Count."""
        await asyncio.sleep(0)
        return number + more

    tools = [tool(decorated), tool(gives_an_awaitable), tool(functools.partial(adds, 10), name="partially")]
    asked = [call(each.name, number=5) for each in tools]
    assert results(runtime, model, tools, *asked, name="awaiting") == [5, 5, 15]


def test_the_shared_functions_are_refused_too() -> None:
    refused: list[BaseException] = []

    def on_a_tools_loop() -> None:
        from agentspan import blocking

        blocking.forbid_here()
        try:
            run(Agent("nobody", model="openai/x"), "Hi.")
        except WouldBlock as error:
            refused.append(error)

    thread = threading.Thread(target=on_a_tools_loop)
    thread.start()
    thread.join(60)
    assert "await run_async" in str(getattr(refused[0], "hint", ""))
