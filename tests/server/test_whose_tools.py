"""Nobody's data for somebody else: a run is served by the tools it was started with, or by what anybody may have."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, ExecutionFailed, ToolContext, tool
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

USERS = ("Ann", "Ben", "Cem", "Dee", "Eva", "Finn")


def asks_for_the_balance(request: ModelRequest) -> Reply:
    """Three times, over two segments at the end, and answers with what it was told."""
    if request.turn < 9:
        return call("my_balance")
    told = [result.output["result"] for message in request.messages for result in message.tool_results]
    return say(", ".join(dict.fromkeys(told)))


def bank(model: str, user: str, *, asynchronous: bool) -> Agent:
    """What a web handler makes for each request."""

    def my_balance() -> str:
        """The balance of the user."""
        return f"balance of {user}"

    async def my_balance_awaited() -> str:
        """The balance of the user."""
        await asyncio.sleep(0)
        return f"balance of {user}"

    chosen = tool(my_balance_awaited, name="my_balance") if asynchronous else my_balance
    return Agent("bank", model=model, tools=[chosen])


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_users_at_the_same_time_are_told_their_own(runtime: AgentRuntime, model: Stage, asynchronous: bool) -> None:
    name = model.play(asks_for_the_balance)
    with ThreadPoolExecutor(len(USERS)) as threads:
        agents = [bank(name, user, asynchronous=asynchronous) for user in USERS]
        results = list(threads.map(lambda each: runtime.run(each, "What have I got?", timeout=120), agents))

    assert [result.output for result in results] == [f"balance of {user}" for user in USERS]


def test_a_run_goes_on_with_its_own_tools_after_a_retry(runtime: AgentRuntime, model: Stage) -> None:
    key = threading.Event()

    def script(request: ModelRequest) -> Reply:
        if request.turn == 1 and not key.is_set():
            return fail(401, "wrong key")
        return asks_for_the_balance(request)

    name = model.play(script)
    handle = runtime.start(bank(name, "Ann", asynchronous=False), "What have I got?")
    with pytest.raises(ExecutionFailed):
        handle.result(timeout=60)
    key.set()
    later = runtime.start(bank(name, "Ben", asynchronous=False), "And I?")
    handle.retry()

    assert handle.result(timeout=60).output == "balance of Ann"
    assert later.result(timeout=60).output == "balance of Ben"


def test_a_run_of_another_process_is_not_given_somebodys_values(
    runtime: AgentRuntime, model: Stage, conductor_url: str
) -> None:
    """As after a restart: the run of before waits for a worker, and the new process serves a user of its own."""
    name = model.play(asks_for_the_balance)
    foreign = runtime.start(bank(name, "Ann", asynchronous=False), "What have I got?", serve=False)
    assert runtime.run(bank(name, "Ben", asynchronous=False), "And I?", timeout=60).output == "balance of Ben"

    wait_until(lambda: foreign.get_status().missing_workers, "the status to say that it waits")
    (missing,) = foreign.get_status().missing_workers
    assert "only for runs that it has started itself" in (missing.mismatch or "")
    assert "runtime.serve(agent)" in (missing.mismatch or "")
    with AgentRuntime(conductor_url) as other:
        other.serve(bank(name, "Ann", asynchronous=False), blocking=False)
        assert foreign.result(timeout=60).output == "balance of Ann"


def test_tools_that_hold_no_values_serve_the_run_of_another_process(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    name = model.play(lambda request: call("add", a=1, b=2) if request.turn == 0 else say("done"))
    foreign = runtime.start(Agent("adding", model=name, tools=[add]), "1 + 2?", serve=False)
    runtime.run(Agent("adding", model=name, tools=[add]), "1 + 2?", timeout=60)

    assert foreign.result(timeout=60).output == "done"


def test_a_tool_reads_what_its_run_was_started_with(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def whoami(context: ToolContext) -> Any:
        """Who asks."""
        return context.context

    agent = Agent("known", model=model.play([calls(call("whoami"), call("whoami")), say("done")]), tools=[whoami])
    started = [runtime.start(agent, "Who am I?", context={"user": user}) for user in USERS[:3]]
    for user, handle in zip(USERS, started, strict=False):
        handle.result(timeout=60)
        assert [event.result for event in handle.stream() if event.type == "tool_result"] == [{"user": user}] * 2
    without = runtime.start(agent, "Who am I?")
    assert [event.result for event in without.stream() if event.type == "tool_result"] == [{}, {}]
