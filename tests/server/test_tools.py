"""What tools may do, and what the model gets to see of it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Retry,
    RetryTool,
    Tool,
    ToolContext,
    ToolFailed,
    current_tool_context,
    tool,
)
from agentspan.engine.records import TaskRecord
from agentspan.testing import Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage


class Setting:
    """An agent made for one test, and what its model was told."""

    def __init__(self, runtime: AgentRuntime, model: Stage) -> None:
        self._runtime, self._model = runtime, model

    def run(self, replies: list[Reply], *tools: Tool[..., Any] | Callable[..., Any]) -> AgentHandle:
        self.name = self._model.play([*replies, say("done")])
        handle = self._runtime.start(Agent("setting", model=self.name, tools=tools), "Go.")
        assert handle.result(timeout=90).output == "done"
        return handle

    def told(self) -> list[Any]:
        """What the model got as the results of its last calls."""
        return [result.output for result in self._model.requests(self.name)[-1].tool_results]


@pytest.fixture
def setting(runtime: AgentRuntime, model: Stage) -> Setting:
    return Setting(runtime, model)


def test_calls_of_one_turn_run_at_the_same_time(setting: Setting) -> None:
    meeting = threading.Barrier(6)

    @tool
    def meet(number: int) -> int:
        """Wait for the others."""
        meeting.wait(timeout=30)
        return number

    @tool
    async def meet_async(number: int) -> int:
        """Wait for the others."""
        await asyncio.to_thread(meeting.wait, 30)
        return number

    setting.run(
        [calls(*[call("meet", number=n) for n in range(3)], *[call("meet_async", number=n) for n in range(3, 6)])],
        meet,
        meet_async,
    )

    assert setting.told() == [{"result": number} for number in range(6)]


def test_a_tool_that_raises_is_tried_again_by_its_policy_and_then_succeeds(setting: Setting) -> None:
    seen: list[tuple[str, int]] = []

    @tool(retry=Retry(attempts=3, delay=0))
    def flaky(context: ToolContext) -> str:
        """Fail twice."""
        seen.append((context.idempotency_key, context.attempt))
        if len(seen) < 3:
            raise OSError(f"no luck {len(seen)}")
        return "luck"

    handle = setting.run([call("flaky")], flaky)

    assert setting.told() == [{"result": "luck"}]
    assert [attempt for _, attempt in seen] == [1, 2, 3]
    assert len({key for key, _ in seen}) == 1
    events = list(handle.stream())
    retries = [(event.attempt, event.error) for event in events if event.type == "tool_retry"]
    assert retries == [(1, "OSError: no luck 1"), (2, "OSError: no luck 2")]
    assert [event.type for event in events][-1] == "done"


def test_the_error_goes_to_the_model_when_the_tries_are_used_up(setting: Setting) -> None:
    tries: list[int] = []

    @tool(retry=Retry(attempts=2, delay=0))
    def broken() -> str:
        """Always fail."""
        tries.append(1)
        raise ValueError("it is broken")

    handle = setting.run([call("broken")], broken)

    assert setting.told() == [{"error": "ValueError: it is broken"}]
    assert len(tries) == 2
    results = [event for event in handle.stream() if event.type == "tool_result"]
    assert [(event.result, event.error) for event in results] == [
        ({"error": "ValueError: it is broken"}, "ValueError: it is broken")
    ]


def test_tries_without_a_pause_are_counted_once_each(setting: Setting) -> None:
    """Conductor puts a call back into its queue before it stores the note of the try that failed."""
    tries: dict[str, list[int]] = {}

    @tool(retry=Retry(attempts=11, delay=0))
    def broken(context: ToolContext) -> str:
        """Always fail."""
        tries.setdefault(context.call_id, []).append(context.attempt)
        raise ValueError("it is broken")

    setting.run([calls(*[call("broken")] * 4)] * 3, broken)

    assert list(tries.values()) == [list(range(1, 12))] * 12


def test_a_final_failure_is_not_tried_again(setting: Setting) -> None:
    tries: list[int] = []

    @tool(retry=Retry(attempts=5, delay=0))
    def hopeless() -> str:
        """Fail for good."""
        tries.append(1)
        raise ToolFailed("There is no such order.")

    setting.run([call("hopeless")], hopeless)

    assert setting.told() == [{"error": "There is no such order."}]
    assert len(tries) == 1


def test_a_tool_chooses_when_it_is_tried_again(setting: Setting) -> None:
    at: list[float] = []

    @tool
    def busy() -> str:
        """Ask to be called again in two seconds."""
        at.append(time.monotonic())
        if len(at) == 1:
            raise RetryTool("busy", after=2)
        return "free"

    setting.run([call("busy")], busy)

    assert setting.told() == [{"result": "free"}]
    assert at[1] - at[0] >= 1.9


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_tool_that_hangs_meets_its_time_limit(setting: Setting, kind: str) -> None:
    release = threading.Event()

    @tool(name="hang", timeout=1, retry=Retry(1))
    def hang_sync() -> str:
        """Hang."""
        release.wait(60)
        return "late"

    @tool(name="hang", timeout=1, retry=Retry(1))
    async def hang_async() -> str:
        """Hang."""
        await asyncio.sleep(60)
        return "late"

    setting.run([call("hang")], hang_sync if kind == "sync" else hang_async)
    release.set()

    assert setting.told() == [{"error": "TimeoutError: The tool hang was not done after 1 s."}]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """What many decorators do: around an async function, too, they are plain ones."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_what_a_tool_gives_to_await_is_awaited_on_the_loop_of_the_async_tools(setting: Setting) -> None:
    loops = []

    @tool
    async def plain(number: int) -> int:
        """Say the number."""
        loops.append(asyncio.get_running_loop())
        return number

    @tool
    @decorated
    async def around(number: int, context: ToolContext) -> int:
        """Say the number."""
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        assert current_tool_context() is context
        return number

    @tool(retry=Retry(1))
    @decorated
    async def broken() -> int:
        """Fail."""
        await asyncio.sleep(0)
        raise ValueError("it is broken")

    @tool
    def later(number: int) -> Awaitable[int]:
        """Say the number."""
        return plain.function(number)

    setting.run(
        [calls(*[call(name, number=n) for n, name in enumerate(["around", "later", "plain"])], call("broken"))],
        plain,
        around,
        broken,
        later,
    )

    assert setting.told() == [*({"result": n} for n in range(3)), {"error": "ValueError: it is broken"}]
    assert len(loops) == 3
    assert len(set(loops)) == 1


def test_what_a_tool_gives_to_await_is_cancelled_at_the_time_limit(setting: Setting) -> None:
    cancelled = threading.Event()

    @tool(timeout=1, retry=Retry(1))
    @decorated
    async def hang() -> None:
        """Never end."""
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    setting.run([call("hang")], hang)

    assert setting.told() == [{"error": "TimeoutError: The tool hang was not done after 1 s."}]
    assert cancelled.wait(timeout=30)


def test_a_call_longer_than_the_lease_is_not_taken_for_dead(setting: Setting) -> None:
    tries: list[int] = []

    @tool(retry=Retry(1))
    def patient() -> str:
        """Take longer than the lease of five seconds."""
        tries.append(1)
        time.sleep(9)
        return "at last"

    setting.run([call("patient")], patient)

    assert setting.told() == [{"result": "at last"}]
    assert len(tries) == 1


def test_bad_arguments_are_told_to_the_model_and_the_function_is_not_called(setting: Setting) -> None:
    called: list[int] = []

    @tool
    def square(number: int) -> int:
        """Square a number."""
        called.append(number)
        return number**2

    setting.run([call("square", number="many", colour="red")], square)

    (told,) = setting.told()
    assert "number" in told["error"]
    assert "colour" in told["error"]
    assert called == []


class Tree(BaseModel):
    """A tree of texts."""

    text: str
    left: Tree | None = None
    right: Tree | None = Field(None, description="The other side.")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_model_is_told_references_as_they_are_and_its_arguments_arrive(
    runtime: AgentRuntime, model: Stage, provider: str
) -> None:
    @tool
    def count(tree: Tree, more: Tree | None = None) -> int:
        """Count the texts."""
        return 1 + sum(count.function(side) for side in (tree.left, tree.right) if side)

    tree = {"text": "a", "right": {"text": "b", "left": {"text": "c"}}}
    name = model.play([call("count", tree=tree), say("done")], provider)
    handle = runtime.start(Agent("forester", model=name, tools=[count]), "Go.")
    handle.result(timeout=90)

    first, last = model.requests(name)
    assert [offered.schema for offered in first.tools] == [count.parameters]
    assert "#/$defs/Tree" in str(count.parameters)
    assert [result.output for result in last.tool_results] == [{"result": 3}]


@pytest.mark.parametrize("among_others", [False, True])
def test_a_tool_that_does_not_exist_is_an_error_for_the_model(setting: Setting, among_others: bool) -> None:
    @tool
    def known() -> str:
        """Exist."""
        return "here"

    replies = [calls(call("known"), call("unknown"))] if among_others else [call("unknown")]
    setting.run(replies, known)

    assert setting.told()[-1] == {"error": "There is no tool named unknown. The tools are: known."}
    if among_others:
        assert setting.told()[0] == {"result": "here"}


def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "JSON"),
        (object(), "JSON"),
        (generator(), "generator"),
        ("x" * 20_000_000, "bytes"),
    ],
    ids=["NaN", "object", "generator", "20 MB"],
)
def test_a_result_that_cannot_be_carried_is_an_error_for_the_model(setting: Setting, value: Any, says: str) -> None:
    @tool
    def odd() -> Any:
        """Return something odd."""
        return value

    setting.run([call("odd")], odd)

    (told,) = setting.told()
    assert set(told) == {"error"}
    assert says in told["error"], told


def test_what_a_tool_knows_about_its_call(setting: Setting) -> None:
    known: list[ToolContext] = []

    def helper() -> None:
        context = current_tool_context()
        assert context is not None
        known.append(context)

    @tool
    def look(context: ToolContext) -> str:
        """Look around."""
        context.progress("looking")
        helper()
        return "seen"

    handle = setting.run([call("look"), calls(call("look"), call("look"))], look)

    assert [(c.agent, c.tool, c.step, c.attempt) for c in known] == [("setting", "look", step, 1) for step in (1, 2, 2)]
    assert {c.execution_id for c in known} == {handle.execution_id}
    assert len({c.idempotency_key for c in known}) == 3
    assert [c.call_id for c in known][:1] == [e.call_id for e in handle.stream() if e.type == "tool_call"][:1]
    assert not known[0].cancelled


def test_a_call_begins_while_another_call_of_its_tool_is_at_work(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the host serves several tools, and polls only the queues that hold something."""
    monkeypatch.setattr("agentspan.worker.poller.SHOW_UP", 3600)  # the poll of all queues would find the call, too
    begun, go_on = [], threading.Event()

    @tool
    def hold(number: int) -> int:
        """Wait for the other one."""
        begun.append(number)
        assert go_on.wait(60)
        return number

    @tool
    def other() -> None:
        """Is never called."""

    name = model.play(lambda request: say("done") if request.turn else call("hold", number=int(request.prompt)))
    agent = Agent("holder", model=name, tools=[hold, other])
    handles = []
    for number in (1, 2):
        handles.append(runtime.start(agent, str(number)))
        wait_until(lambda number=number: number in begun, f"call {number} to begin")
    go_on.set()

    assert [handle.result(timeout=60).output for handle in handles] == ["done", "done"]
    assert begun == [1, 2]


@pytest.mark.parametrize("meanwhile", ["given up", "handed out again"])
def test_a_call_that_is_still_at_work_does_not_run_twice(runtime: AgentRuntime, model: Stage, meanwhile: str) -> None:
    """Whatever the server thinks of it: it takes a call for lost after a cut in the network, or repeats a delivery."""
    begun, go_on = [], threading.Event()

    @tool(retry=Retry(1))
    def work(context: ToolContext) -> str:
        """Work until the server has given the call up."""
        begun.append(context.idempotency_key)
        assert go_on.wait(60)
        return "finished"

    agent = Agent("impatient", model=model.play([call("work"), say("done")]), tools=[work])
    handle = runtime.start(agent, "Go.")
    wait_until(lambda: begun, "the call to begin")
    pending = pending_call(runtime, handle)
    report = {"taskId": pending.task_id, "workflowInstanceId": pending.workflow_instance_id}
    if meanwhile == "handed out again":
        runtime.client.update_task({**report, "status": "IN_PROGRESS", "callbackAfterSeconds": 0})
        wait_until(lambda: pending_call(runtime, handle).poll_count > pending.poll_count, "the second delivery")
    else:
        runtime.client.update_task({**report, "status": "FAILED", "reasonForIncompletion": "lost"})
        wait_until(lambda: pending_call(runtime, handle).retry_count > 0, "the second attempt")
        wait_until(lambda: pending_call(runtime, handle).status == "IN_PROGRESS", "its delivery")
    go_on.set()

    assert handle.result(timeout=60).output == "done"
    assert len(begun) == 1
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["finished"]


def pending_call(runtime: AgentRuntime, handle: AgentHandle) -> TaskRecord:
    """The tool call that the run is at, as the server has it."""
    run = runtime.client.workflow(handle.execution_id)
    segment = runtime.client.workflow(run.tasks[-1].sub_workflow_id or "")
    return segment.tasks[-1]


def book(room: int) -> str:
    """Book a room."""
    return f"room {room}"


def book_nights(room: int, nights: int) -> str:
    """Book a room for some nights."""
    return f"room {room} for {nights}"


def test_a_worker_with_an_older_version_of_the_tool_leaves_the_call_to_others(
    runtime: AgentRuntime, model: Stage, conductor_url: str
) -> None:
    name = model.play([call("book", room=7, nights=2), say("done")])
    older = Agent("booking", model=name, tools=[tool(book)])
    newer = Agent("booking", model=name, tools=[tool(book_nights, name="book")])
    with AgentRuntime(conductor_url) as old:
        old.serve(older, blocking=False)
        handle = runtime.start(newer, "Go.", serve=False)
        wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits")
        before = list(itertools.islice(handle.stream(), 3))
        runtime.serve(newer, blocking=False)
        assert handle.result(timeout=60).output == "done"

    events = list(handle.stream())
    assert [event.type for event in events] == [
        "step",
        "tool_call",
        "waiting",
        "resumed",
        "tool_result",
        "step",
        "done",
    ]
    assert events[:3] == before, "what a reader has seen stays as it was"
    assert events[4].result == "room 7 for 2"
    assert "an older version" in (events[2].error or "")
    assert "nights: unknown" in (events[2].error or "")


def test_a_run_that_waits_for_another_version_of_a_tool_says_which(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([call("book", room=7), say("done")])
    before = Agent("rebooking", model=name, tools=[tool(book)])
    after = Agent("rebooking", model=name, tools=[tool(book_nights, name="book")])
    handle = runtime.start(before, "Go.", serve=False)
    runtime.serve(after, blocking=False)

    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits")
    (missing,) = handle.get_status().missing_workers
    assert (missing.tool, missing.last_poll is None) == ("book", False)
    assert "serves a newer version of the tool: version " in (missing.mismatch or "")
    assert "nights: missing" in (missing.mismatch or "")
    runtime.serve(before, blocking=False)

    assert handle.result(timeout=60).output == "done"


def test_a_run_goes_on_with_another_version_of_a_tool_that_its_calls_fit(runtime: AgentRuntime, model: Stage) -> None:
    def book_more(room: int, nights: int = 1) -> str:
        """Book a room."""
        return f"room {room} for {nights}"

    name = model.play([call("book", room=7), say("done")])
    handle = runtime.start(Agent("extended", model=name, tools=[tool(book)]), "Go.", serve=False)
    runtime.serve(Agent("extended", model=name, tools=[tool(book_more, name="book")]), blocking=False)

    assert handle.result(timeout=60).output == "done"
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["room 7 for 1"]


def test_a_mistake_of_the_model_is_its_own_whatever_the_version(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([call("book", room="the best"), say("done")])
    handle = runtime.start(Agent("reworded", model=name, tools=[tool(book)]), "Go.", serve=False)
    reworded = tool(book, description="Book a room in the hotel.")
    runtime.serve(Agent("reworded", model=name, tools=[reworded], instructions="Be kind."), blocking=False)

    assert handle.result(timeout=60).output == "done"
    (told,) = [event for event in handle.stream() if event.type == "tool_result"]
    assert "room: Input should be a valid integer" in (told.error or "")


def test_a_run_whose_tool_was_removed_says_so(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([call("book", room=7), say("done")])
    before = Agent("reduced", model=name, tools=[tool(book), tool(book_nights)])
    handle = runtime.start(before, "Go.", serve=False)
    runtime.serve(Agent("reduced", model=name, tools=[tool(book_nights)]), blocking=False)

    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits")
    (missing,) = handle.get_status().missing_workers
    assert (missing.tool, missing.mismatch) == ("book", None)
    runtime.serve(before, blocking=False)

    assert handle.result(timeout=60).output == "done"
