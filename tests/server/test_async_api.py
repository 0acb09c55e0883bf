"""The same on an event loop: one core, hundreds of readers on a few threads, and nothing left of one cancelled."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    ExecutionTerminated,
    ServerUnreachable,
    WaitTimeout,
    run_async,
    tool,
)
from agentspan.runtime import aio, shared
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage

TWINS = [
    *(
        (AgentHandle, name)
        for name in ("get_status", "stream", "steps", "pause", "resume", "cancel", "retry", "result")
    ),
    *((AgentRuntime, name) for name in ("start", "run", "stream")),
    *((shared, name) for name in ("start", "run", "stream")),
]


@pytest.mark.parametrize(("owner", "name"), TWINS, ids=lambda value: getattr(value, "__name__", value))
def test_a_twin_takes_what_its_brother_takes_and_says_what_it_says(owner: object, name: str) -> None:
    brother, twin = getattr(owner, name), getattr(owner, f"{name}_async")
    given = list(inspect.signature(twin).parameters)
    assert given == list(inspect.signature(brother).parameters) or given[-1] == "options"
    assert (inspect.getdoc(twin) or "").split()[:2] == (inspect.getdoc(brother) or "").split()[:2]


@tool
def double(number: int) -> int:
    """Double it."""
    return 2 * number


def doubling(request: ModelRequest) -> Reply:
    return call("double", number=4) if request.turn == 0 else say("eight")


def test_a_run_is_started_followed_and_read_on_a_loop(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("doubling_async", model=model.play(doubling), tools=[double])

    async def main() -> tuple[AgentHandle, list[str]]:
        assert (await runtime.run_async(agent, "Double 4.", timeout=60)).output == "eight"
        handle = await runtime.start_async(agent, "Double 4.")
        types = [event.type async for event in handle.stream()]
        assert (await handle.result_async(timeout=60)).output == "eight"
        assert (await handle.get_status_async()).is_complete
        assert [step.number for step in await handle.steps_async()] == [1, 2]
        assert [event.type async for event in runtime.stream_async(agent, "Once more.")] == types
        return handle, types

    handle, types = asyncio.run(main())
    assert types == [event.type for event in handle.stream()] == ["step", "tool_call", "tool_result", "step", "done"]


def test_hundreds_of_readers_need_a_handful_of_threads(runtime: AgentRuntime, model: Stage) -> None:
    go_on = threading.Event()

    @tool
    def wait() -> str:
        """Wait."""
        go_on.wait(60)
        return "now"

    name = model.play(lambda request: call("wait") if request.turn == 0 else say("done"))
    handle = runtime.start(Agent("read_by_many", model=name, tools=[wait]), "Go.")

    async def read() -> str:
        async for event in AgentHandle(handle.execution_id, runtime).stream():
            if event.type == "done":
                return str(event.output)
        return "no end"

    async def main() -> tuple[list[str], int]:
        readers = [asyncio.ensure_future(read()) for _ in range(200)]
        await asyncio.sleep(0.5)
        threads = sum(thread.name.startswith("agentspan-io") for thread in threading.enumerate())
        go_on.set()
        return await asyncio.gather(*readers), threads

    answers, threads = asyncio.run(main())
    assert answers == ["done"] * 200
    assert 0 < threads <= aio.THREADS


def test_who_is_cancelled_leaves_the_run_as_it_is(runtime: AgentRuntime, model: Stage) -> None:
    go_on = threading.Event()

    @tool
    def wait() -> str:
        """Wait."""
        go_on.wait(60)
        return "now"

    name = model.play(lambda request: call("wait") if request.turn == 0 else say("done"))
    agent = Agent("left_alone", model=name, tools=[wait])

    async def main() -> AgentHandle:
        handle = await runtime.start_async(agent, "Go.")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await handle.result_async()
        with pytest.raises(WaitTimeout):
            await handle.result_async(timeout=0.2)
        assert not (await handle.get_status_async()).is_complete
        go_on.set()
        assert (await handle.result_async(timeout=60)).output == "done"
        return handle

    asyncio.run(main())


def test_a_reader_that_gives_up_an_event_gets_it_when_it_asks_again(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("impatient", model=model.play(lambda _: say("late").after(1.5)))

    async def main() -> list[str]:
        events = (await runtime.start_async(agent, "Go.")).stream_async()
        found: list[str] = []
        while True:
            try:
                async with asyncio.timeout(0.2):
                    found.append((await anext(events)).type)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                return found

    assert asyncio.run(main()) == ["step", "done"]


def test_an_asynchronous_call_that_waits_for_a_run_takes_no_place(conductor_url: str, model: Stage) -> None:
    inner = Agent("inner_of_one", model=model.play(doubling), tools=[double])
    with AgentRuntime(conductor_url, concurrency=1) as narrow:

        @tool
        async def delegate_twice() -> list[str]:
            """Ask another agent twice at once."""
            asked = (narrow.run_async(inner, f"Double 4, {number}.", timeout=60) for number in range(2))
            return [result.output for result in await asyncio.gather(*asked)]

        outer = Agent("outer_of_one", model=model.play([call("delegate_twice"), say("done")]), tools=[delegate_twice])
        handle = narrow.start(outer, "Go.")
        assert handle.result(timeout=90).output == "done"
        results = [event.result for event in handle.stream() if event.type == "tool_result"]
        assert results == [["eight", "eight"]]


def test_a_cancelled_run_says_so_on_a_loop_too(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("cancelled_async", model=model.play(lambda _: say("late").after(20)))

    async def main() -> None:
        handle = await runtime.start_async(agent, "Go.")
        await handle.cancel_async("changed our mind")
        with pytest.raises(ExecutionTerminated, match="changed our mind"):
            await handle.result_async(timeout=60)

    asyncio.run(main())


def test_a_server_that_was_never_there_is_told_at_once() -> None:
    async def main() -> None:
        async with AgentRuntime("http://127.0.0.1:1") as nowhere:
            with pytest.raises(ServerUnreachable):
                await AgentHandle("exec-1", nowhere).result_async()

    asyncio.run(main())


def test_an_asynchronous_tool_awaits_the_run_of_another_agent(
    runtime: AgentRuntime, model: Stage, conductor_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", conductor_url)
    inner = Agent("inner_async", model=model.play(doubling), tools=[double])

    @tool
    async def delegate() -> str:
        """Ask another agent."""
        return (await run_async(inner, "Double 4.", timeout=60)).output

    outer = Agent("outer_async", model=model.play([call("delegate"), say("done")]), tools=[delegate])
    handle = runtime.start(outer, "Go.")
    assert handle.result(timeout=60).output == "done"
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["eight"]
    shared.shared_runtime().shutdown()
