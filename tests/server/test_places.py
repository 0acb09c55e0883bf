"""A worker all of whose places are taken: it is seen, it says so, and it is not held up by its own waiting calls."""

from __future__ import annotations

import threading

from agentspan.agents import Agent, AgentRuntime, tool
from agentspan.reading.queues import worker_queues
from agentspan.reading.waits import POLLED_LATELY
from agentspan.testing import call as asks
from agentspan.testing import calls, say, wait_until
from agentspan.testing.plugin import Stage


def test_calls_that_wait_for_runs_of_this_process_all_finish(conductor_url: str, model: Stage) -> None:
    """More of them than the worker has places, each with a run that needs one."""

    @tool
    def double(number: int) -> int:
        """Double it."""
        return 2 * number

    inner_model = model.play(lambda request: asks("double", number=4) if request.turn == 0 else say("eight"))
    inner = Agent("inner_of_many", model=inner_model, tools=[double])
    with AgentRuntime(conductor_url, concurrency=3) as runtime:

        @tool
        def delegate(number: int) -> str:
            """Ask another agent."""
            return runtime.run(inner, f"Double 4, for the {number}th time.").output

        script = [calls(*(asks("delegate", number=number) for number in range(8))), say("done")]
        handle = runtime.start(Agent("outer_of_many", model=model.play(script), tools=[delegate]), "Go.")

        assert handle.result(timeout=120).output == "done"
        assert [event.result for event in handle.stream() if event.type == "tool_result"] == ["eight"] * 8


def test_a_full_worker_is_seen_and_named(conductor_url: str, model: Stage) -> None:
    over = threading.Event()

    @tool
    def slow(number: int) -> int:
        """Take long."""
        over.wait(120)
        return number

    name = model.play([calls(*(asks("slow", number=number) for number in range(3))), say("done")])
    agent = Agent("crowded", model=name, tools=[slow])
    with AgentRuntime(conductor_url, concurrency=1) as runtime:
        try:
            handle = runtime.start(agent, "Go.")
            wait_until(lambda: handle.get_status().busy_workers, "the status to say that the worker is busy", 60)
            status = handle.get_status()
            (busy,) = status.busy_workers
            host = runtime._serving.host()
            assert (busy.tool, busy.task_name, busy.worker_id, busy.waiting) == (
                "slow",
                "crowded.slow",
                host.worker_id,
                2,
            )
            assert (status.missing_workers, status.is_running, status.is_waiting) == ((), True, False)
            (queue,) = [each for each in worker_queues(runtime.client) if each.task_name == "crowded.slow"]
            assert (queue.served, queue.busy, queue.worker) == (True, True, host.worker_id)
        finally:
            over.set()
        assert handle.result(timeout=60).output == "done"
        assert "waiting" in {event.type for event in handle.stream()}
    assert POLLED_LATELY > 2 * 5, "a busy worker shows itself often enough"
