"""A team whose members are beside each other is retried: what any of them has finished is not done again."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from agentspan.agents import Agent, AgentRuntime, ExecutionFailed, ModelSettings, Retry, Team, tool
from agentspan.testing import ModelRequest, Reply, call, fail, say
from agentspan.testing.plugin import Stage


@pytest.mark.parametrize("fails", [0, 1], ids=["the first fails", "the second fails"])
def test_another_worker_repeats_nothing_of_the_member_that_was_cut_off(
    conductor_url: str, model: Stage, fails: int
) -> None:
    """The engine begins the cut-off member's segment anew; the worker that knew what was in it is gone."""
    looked: Counter[str] = Counter()
    asked: Counter[int] = Counter()
    held, go_on, broken = threading.Event(), threading.Event(), threading.Event()
    broken.set()
    settings = ModelSettings(base_url=model.server.openai_url)

    @tool(retry=Retry(1))
    def look(topic: str) -> str:
        """Look something up."""
        looked[topic] += 1
        if topic == "slow":
            held.set()
            go_on.wait(60)
        if topic == "nothing":
            raise LookupError(topic)
        return f"all about {topic}"

    topics = ["tea", "nothing", "ink", "slow", "more"]

    def reads(request: ModelRequest) -> Reply:
        asked[request.turn] += 1
        return call("look", topic=topics[request.turn]) if request.turn < len(topics) else say("read")

    def breaks(request: ModelRequest) -> Reply:
        assert held.wait(60)
        return fail(401, "no such key") if broken.is_set() else say("written")

    reader = Agent("cut_off", model=model.play(reads), model_place="worker", model_settings=settings, tools=[look])
    writer = Agent("breaking", model=model.play(breaks), model_place="worker", model_settings=settings, tools=[look])
    team = Team("retried_beside", [writer, reader] if fails == 0 else [reader, writer], strategy="parallel")
    with AgentRuntime(conductor_url) as first:
        handle = first.start(team, "Go.")
        with pytest.raises(ExecutionFailed, match="no such key"):
            handle.result(timeout=60)
        go_on.set()
    broken.clear()

    with AgentRuntime(conductor_url) as second:
        second.serve(team, blocking=False)
        again = second.handle(handle.execution_id)
        again.retry()
        assert "read" in str(again.result(timeout=60).output)

    # The call that was cut off, and the turns after it, are made by the second worker.
    assert looked == {"tea": 1, "nothing": 1, "ink": 1, "slow": 2, "more": 1}
    assert asked == dict.fromkeys(range(6), 1)


def test_another_call_in_the_place_of_one_before_is_made(runtime: AgentRuntime, model: Stage) -> None:
    """Where the server calls the model, it is asked again, and may say something else."""
    held, go_on, broken = threading.Event(), threading.Event(), threading.Event()
    broken.set()
    told: list[str] = []

    @tool
    def look(topic: str) -> str:
        """Look something up."""
        if topic == "slow":
            held.set()
            go_on.wait(60)
        return f"all about {topic}"

    def reads(request: ModelRequest) -> Reply:
        told.extend(str(result.output) for result in request.tool_results)
        if request.turn == 2:
            return say("read")
        return call("look", topic="slow" if request.turn else "tea" if broken.is_set() else "ink")

    def breaks(request: ModelRequest) -> Reply:
        assert held.wait(60)
        return fail(401, "no such key") if broken.is_set() else say("written")

    reader = Agent("cut_off_there", model=model.play(reads), tools=[look])
    writer = Agent("breaking_there", model=model.play(breaks), tools=[look])
    handle = runtime.start(Team("retried_there", [writer, reader], strategy="parallel"), "Go.")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    go_on.set()
    broken.clear()

    handle.retry()

    assert "read" in str(handle.result(timeout=60).output)
    assert [each for each in told if "ink" in each or "tea" in each][-1] == str({"result": "all about ink"})
