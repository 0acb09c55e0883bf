"""Pausing, resuming, cancelling, retrying; and saying what a run waits for."""

from __future__ import annotations

import threading

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Conflict,
    ExecutionFailed,
    ExecutionTerminated,
    NotFound,
    Retry,
    ToolContext,
    tool,
)
from agentspan.engine.records import PENDING, WorkflowRecord
from agentspan.testing import ModelRequest, Reply, call, fail, say, wait_until
from agentspan.testing.plugin import Stage


@tool
def count(number: int) -> int:
    """Count."""
    return number


def counting(steps: int) -> object:
    def reply(request: ModelRequest) -> Reply:
        return call("count", number=request.turn).after(0.1) if request.turn < steps else say("done")

    return reply


def test_a_paused_run_stands_still_until_it_is_resumed(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(counting(12))
    handle = runtime.start(Agent("pausing", model=name, tools=[count]), "Go.")
    wait_until(lambda: handle.get_status().step >= 2, "step 2")

    handle.pause()
    status = handle.get_status()
    assert (status.status, status.is_waiting, status.is_running, status.is_complete) == ("PAUSED", True, False, False)
    wait_until(lambda: handle.get_status().current_task is None, "what runs now to finish")
    calls_then = len(model.requests(name))
    with pytest.raises(Conflict):
        handle.pause()
    assert len(model.requests(name)) == calls_then

    handle.resume()
    assert handle.result(timeout=60).output == "done"
    assert len(model.requests(name)) == 13
    with pytest.raises(Conflict):
        handle.resume()


def segment_of(handle: AgentHandle) -> WorkflowRecord:
    """The segment that is at work, as the server has it."""
    client = handle.runtime.client
    ids = [task.sub_workflow_id for task in client.workflow(handle.execution_id).tasks if task.sub_workflow_id]
    return client.workflow(ids[-1])


def test_pause_and_resume_act_on_the_segment_at_work_wherever_it_is(runtime: AgentRuntime, model: Stage) -> None:
    """At many places of a quick run: also when one segment has just ended and the next one is about to begin."""
    name = model.play(lambda request: call("count", number=request.turn) if request.turn < 40 else say("done"))
    handle = runtime.start(Agent("often_paused", model=name, tools=[count]), "Go.")
    for turn in (2, 7, 8, 9, 15, 16, 17, 24, 32):
        wait_until(lambda turn=turn: len(model.requests(name)) >= turn, f"turn {turn}", 120)
        handle.pause()

        assert handle.get_status().status == "PAUSED"
        wait_until(lambda: handle.get_status().current_task is None, "what runs now to finish")
        asked, segment = len(model.requests(name)), segment_of(handle)
        assert segment.status in ("PAUSED", "COMPLETED")
        assert not [task for task in segment.tasks if task.status in PENDING]
        assert len(model.requests(name)) == asked, "and nothing else begins"
        handle.resume()
        assert handle.get_status().status in ("RUNNING", "COMPLETED")

    assert handle.result(timeout=120).output == "done"
    assert len(model.requests(name)) == 41


def test_a_paused_run_can_be_cancelled_and_its_segment_ends_with_it(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("given_up", model=model.play(counting(12)), tools=[count]), "Go.")
    wait_until(lambda: handle.get_status().step >= 2, "step 2")
    handle.pause()
    handle.cancel("given up")

    with pytest.raises(ExecutionTerminated, match="given up"):
        handle.result(timeout=30)
    wait_until(lambda: segment_of(handle).status == "TERMINATED", "the segment to end")
    status = handle.get_status()
    assert (status.status, status.is_complete, status.error) == ("TERMINATED", True, "given up")


def test_what_is_over_cannot_be_controlled_and_says_so(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("over", model=model.play([say("done")])), "Go.")
    handle.result(timeout=60)

    for verb, done in {"pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried"}.items():
        with pytest.raises(Conflict, match=f"is COMPLETED: it cannot be {done}") as caught:
            getattr(handle, verb)()
        assert "must be" in str(caught.value.hint)
        assert handle.execution_id in str(caught.value)


def test_a_cancelled_run_ends_and_its_tool_is_told(runtime: AgentRuntime, model: Stage) -> None:
    began, told = threading.Event(), threading.Event()

    @tool(retry=Retry(1))
    def endless(context: ToolContext) -> str:
        """Run until told to stop."""
        began.set()
        while not context.cancelled:
            began.wait(0.05)
        told.set()
        return "stopped"

    handle = runtime.start(Agent("cancelled", model=model.play([call("endless")]), tools=[endless]), "Go.")
    assert began.wait(60)

    handle.cancel("changed our minds")

    with pytest.raises(ExecutionTerminated, match="changed our minds"):
        handle.result(timeout=30)
    assert told.wait(30), "the running tool learns of it"
    wait_until(lambda: segment_of(handle).status == "TERMINATED", "the segment to end")
    events = list(handle.stream())
    assert events[-1].type == "error"
    for verb in (handle.cancel, handle.pause, handle.resume):
        with pytest.raises(Conflict):
            verb()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_fails_the_run_at_once_and_it_can_be_retried_where_it_failed(
    runtime: AgentRuntime, model: Stage, provider: str, status: int
) -> None:
    refusing = [True]

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 1 and refusing[0]:
            return fail(status, "not with this key")
        return call("count", number=1) if request.turn == 0 else say("done")

    name = model.play(reply, provider)
    handle = runtime.start(Agent("refused", model=name, tools=[count]), "Go.")

    with pytest.raises(ExecutionFailed, match="not with this key"):
        handle.result(timeout=30)
    assert len(model.requests(name)) <= 3, "tools and refused calls are not repeated"
    assert handle.get_status().is_complete
    before = list(handle.stream())
    handle.retry()
    with pytest.raises(ExecutionFailed, match=str(status)):
        handle.result(timeout=30)

    refusing[0] = False
    handle.retry()
    assert handle.result(timeout=60).output == "done"
    with pytest.raises(Conflict):
        handle.retry()
    after = list(handle.stream())
    assert after[: len(before)] == before, "what a reader has seen stays as it was"
    assert [event.type for event in after].count("tool_result") == 1
    assert [event.seq for event in after] == list(range(1, len(after) + 1))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_provider_is_asked_again(runtime: AgentRuntime, model: Stage, status: int) -> None:
    name = model.play(lambda request: fail(status, "busy") if request.attempt == 1 else say("done"))

    result = runtime.run(Agent("patient", model=name), f"Go {status}.", timeout=60)

    assert result.output == "done"


def test_a_run_whose_tool_nobody_serves_says_so(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    agent = Agent("unserved", model=model.play([call("count", number=1), say("done")]), tools=[count])
    handle = runtime.start(agent, "Go.", serve=False)

    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits", 30)
    status = handle.get_status()
    (missing,) = status.missing_workers
    assert (missing.tool, missing.task_name, missing.last_poll) == ("count", "unserved.count", None)
    assert (status.status, status.is_running, status.is_complete) == ("RUNNING", False, False)
    runtime.serve(agent, blocking=False)

    assert handle.result(timeout=30).output == "done"
    types = [event.type for event in handle.stream()]
    assert types == ["step", "tool_call", "waiting", "resumed", "tool_result", "step", "done"]


def test_too_many_turns_is_a_failure_that_says_so(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(lambda request: call("count", number=request.turn))
    handle = runtime.start(Agent("endless", model=name, tools=[count], max_turns=10), "Go.")

    with pytest.raises(ExecutionFailed, match="used all of its 10 turns"):
        handle.result(timeout=60)

    assert len(model.requests(name)) == 10
    assert handle.get_status().step == 10
    with pytest.raises(Conflict, match="used all its turns"):
        handle.retry()


def test_a_run_keeps_the_definition_it_was_started_with(runtime: AgentRuntime, model: Stage) -> None:
    go_on = threading.Event()

    @tool
    def gate() -> str:
        """Wait."""
        go_on.wait(60)
        return "open"

    name = model.play(lambda request: call("gate") if request.turn == 0 else say(request.system or ""))
    old = Agent("changing", model=name, tools=[gate], instructions="The old prompt.")
    handle = runtime.start(old, "Go.")
    wait_until(lambda: handle.get_status().current_task == "gate", "the tool to run")

    runtime.register(Agent("changing", model=name, tools=[gate, count], instructions="The new prompt."))
    go_on.set()

    assert handle.result(timeout=60).output == "The old prompt."


def test_an_unknown_id(runtime: AgentRuntime) -> None:
    handle = AgentHandle("no-such-run", runtime)

    for verb in (handle.get_status, handle.result, handle.pause, handle.cancel, lambda: list(handle.stream())):
        with pytest.raises(NotFound, match="no-such-run"):
            verb()
