"""Readers of a run: all see the same sequence, from any cursor, whatever becomes of the run; and reading is cheap."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    AgentStatus,
    Event,
    ExecutionFailed,
    ExecutionTerminated,
    ExecutionTimedOut,
    InputError,
    ServerUnreachable,
    ToolContext,
    tool,
)
from agentspan.config import Settings
from agentspan.engine.client import Conductor
from agentspan.reading.drafts import Draft
from agentspan.reading.history import History
from agentspan.reading.projection import segment_drafts
from agentspan.reading.run import StoredSegment
from agentspan.server._process import free_port
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

STEPS = 20
SEGMENTS = 3  # of eight turns: twenty calls and the answer


class Counting(Conductor):
    """The real client, which writes down what it asks for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def call(
        self, method: str, path: str, query: Iterable[tuple[str, Any]] = (), body: Any = None, **options: Any
    ) -> Any:
        query = list(query)
        self.asked.append(path + ("" if ("includeTasks", False) not in query else "?bare"))
        return super().call(method, path, query, body, **options)


@tool
def count(number: int) -> int:
    """Count."""
    return number


def counting(request: ModelRequest) -> Reply:
    return call("count", number=request.turn) if request.turn < STEPS else say("done")


def elsewhere(handle: AgentHandle) -> AgentHandle:
    """The same run, seen by a process that knows nothing but its id."""
    return AgentHandle(handle.execution_id, AgentRuntime(handle.runtime.settings.server_url))


def flags(status: AgentStatus) -> tuple[str, bool, bool, bool]:
    return status.status, status.is_running, status.is_waiting, status.is_complete


# ---- the same sequence for everybody ------------------------------------------------------------------


@pytest.fixture
def finished(runtime: AgentRuntime, model: Stage) -> AgentHandle:
    handle = runtime.start(Agent("counting", model=model.play(counting), tools=[count]), "Go.")
    handle.result(timeout=120)
    return handle


def test_a_reader_gets_exactly_the_rest_from_any_cursor(finished: AgentHandle) -> None:
    events = list(finished.stream())

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert Counter(event.type for event in events) == {
        "step": STEPS + 1,
        "tool_call": STEPS,
        "tool_result": STEPS,
        "done": 1,
    }
    for cursor in (0, 1, 7, len(events) // 2, len(events) - 1, len(events), len(events) + 5):
        assert list(elsewhere(finished).stream(from_=cursor)) == events[cursor:]
    for cursor in range(len(events)):
        assert next(iter(finished.stream(from_=cursor))) == events[cursor]
    for wrong in (-1, "3", None):
        with pytest.raises(InputError, match="from_"):
            finished.stream(from_=wrong)  # type: ignore[arg-type]


def test_readers_of_a_run_in_progress_see_the_same(runtime: AgentRuntime, model: Stage) -> None:
    """One follows it all, one comes back with its cursor for each event, one comes late."""
    go_on = threading.Event()

    @tool
    def wait_once(number: int) -> int:
        """Count."""
        if number == STEPS // 2:
            go_on.wait(60)
        return number

    def script(request: ModelRequest) -> Reply:
        number = request.turn
        return calls(call("wait_once", number=number), call("wait_once", number=-1)) if number < STEPS else say("done")

    handle = runtime.start(Agent("shared", model=model.play(script), tools=[wait_once]), "Go.")
    followed: list[Event] = []
    follower = threading.Thread(target=lambda: followed.extend(elsewhere(handle).stream()), daemon=True)
    follower.start()
    pieces: list[Event] = []
    while not pieces or pieces[-1].type != "done":
        pieces.append(next(iter(elsewhere(handle).stream(from_=len(pieces), timeout=60))))
        if pieces[-1].type == "tool_call" and (pieces[-1].args or {}).get("number") == STEPS // 2:
            go_on.set()
    follower.join(60)

    assert followed == pieces == list(handle.stream())
    assert [event.seq for event in pieces] == list(range(1, len(pieces) + 1))
    assert Counter(event.type for event in pieces)["tool_result"] == 2 * STEPS


# ---- what becomes of a run ----------------------------------------------------------------------------


def test_a_run_that_was_cancelled_and_retried(runtime: AgentRuntime, model: Stage) -> None:
    """Twice, while two calls are at work: every reader sees each end once, and what it saw stays in its place."""
    let_go = threading.Event()

    @tool
    def work(number: int) -> int:
        """Work through it all."""
        let_go.wait(120)
        return number

    two = calls(call("work", number=1), call("work", number=2))
    name = model.play(lambda request: two if request.turn == 0 else say("done"))
    handle = runtime.start(Agent("cut_off", model=name, tools=[work]), "Go.")

    def taken() -> int:
        calls = [call for step in handle.steps() for call in step.calls]
        return sum(call.attempts[-1].status == "running" for call in calls if call.attempts)

    seen: list[Event] = []
    for number in (1, 2):
        wait_until(
            lambda: taken() == 2, "both calls to be taken: a poll at this very moment would undo the cancellation"
        )
        handle.cancel(f"reason {number}")
        with pytest.raises(ExecutionTerminated, match=f"reason {number}"):
            handle.result(timeout=30)
        assert flags(handle.get_status()) == ("TERMINATED", False, False, True)
        rest = list(elsewhere(handle).stream(from_=len(seen)))
        assert [event.type for event in rest][-1] == "error"
        assert rest[-1].error == f"reason {number}"
        seen += rest
        assert list(handle.stream()) == list(elsewhere(handle).stream()), "a reader of before and a new one"
        handle.retry()
        if number == 2:
            let_go.set()
    assert handle.result(timeout=60).output == "done"
    seen += elsewhere(handle).stream(from_=len(seen))

    types = ["step", "tool_call", "tool_call", "error", "resumed", "error", "resumed"]
    types += ["tool_result", "tool_result", "step", "done"]
    assert [event.type for event in seen] == types
    now = list(handle.stream())
    assert [(event.seq, event.type, event.step) for event in now] == [
        (event.seq, event.type, event.step) for event in seen
    ]
    assert now == list(elsewhere(handle).stream())


def test_a_run_that_was_cancelled_while_its_model_answers(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(lambda request: say("done").after(3.0 if request.attempt == 1 else 0.0))
    handle = runtime.start(Agent("thinking", model=name, tools=[count]), "Go, and think.")
    wait_until(lambda: handle.get_status().current_task == "model", "the model call")
    wait_until(lambda: model.requests(name), "the model to be asked")
    handle.cancel("too slow")

    before = list(handle.stream())
    assert [(event.type, event.error) for event in before] == [("step", None), ("error", "too slow")]
    wait_until(lambda: handle.get_status().current_task is None, "the end")
    assert list(elsewhere(handle).stream()) == before
    handle.retry()
    assert handle.result(timeout=60).output == "done"
    assert [event.type for event in handle.stream()] == ["step", "error", "resumed", "done"]


def test_a_call_that_was_cancelled_before_a_worker_took_it_never_counts_as_waiting(
    runtime: AgentRuntime, model: Stage
) -> None:
    agent = Agent("never_taken", model=model.play([call("count", number=1)]), tools=[count])
    handle = runtime.start(agent, "Go.", serve=False)
    wait_until(lambda: handle.get_status().current_task == "count", "the call to be scheduled")
    handle.cancel()

    assert [event.type for event in handle.stream()] == ["step", "tool_call", "error"]
    history = History(runtime.client, handle.execution_id)
    history.look()
    assert history.newest is not None
    in_an_hour = int(time.time() + 3600) * 1000
    drafts = segment_drafts(StoredSegment.of(history.newest), in_an_hour)
    assert [draft.type for draft in drafts if isinstance(draft, Draft)] == [
        "step",
        "tool_call",
    ]


def test_a_run_that_met_its_time_limit_and_was_retried(runtime: AgentRuntime, model: Stage) -> None:
    let_go = threading.Event()

    @tool
    def work(context: ToolContext) -> str:
        """Work until told to stop."""
        while not let_go.wait(0.02) and not context.cancelled:
            pass
        return "worked"

    name = model.play(lambda request: call("work") if request.turn == 0 else say("done"))
    handle = runtime.start(Agent("limited", model=name, tools=[work], timeout=4), "Go.")

    with pytest.raises(ExecutionTimedOut):
        handle.result(timeout=120)
    assert flags(handle.get_status()) == ("TIMED_OUT", False, False, True)
    before = list(handle.stream())
    assert [event.type for event in before] == ["step", "tool_call", "error"]
    let_go.set()
    handle.retry()
    assert handle.result(timeout=60).output == "done"
    assert [event.type for event in handle.stream()] == [
        *("step", "tool_call", "error", "resumed", "tool_result", "step", "done"),
    ]


# ---- the server that is away --------------------------------------------------------------------------


def test_a_server_that_was_never_there_is_told_at_once() -> None:
    handle = AgentHandle("some-run", AgentRuntime(f"http://127.0.0.1:{free_port()}"))

    for read in (handle.get_status, handle.result, lambda: list(handle.stream())):
        with pytest.raises(ServerUnreachable):
            read()


# ---- reading is cheap ---------------------------------------------------------------------------------


def test_a_finished_run_is_read_once(finished: AgentHandle) -> None:
    client = Counting(finished.runtime.settings)
    history = History(client, finished.execution_id)

    for after in (STEPS, 0):
        history.events(history.look(), after)

    asked = Counter(client.asked)
    run = f"/workflow/{finished.execution_id}"
    segments = {path: times for path, times in asked.items() if not path.startswith(run)}
    assert list(segments.values()) == [1] * SEGMENTS, "each segment once, with its tasks"
    assert asked[run] == 2
    assert asked[f"{run}?bare"] == 2


def test_following_a_run_costs_the_same_however_long_it_is(runtime: AgentRuntime, model: Stage) -> None:
    client = Counting(runtime.settings)
    agent = Agent("followed", model=model.play(counting), tools=[count])
    handle = runtime.start(agent, "Go.")
    history = History(client, handle.execution_id)
    events: list[Event] = []

    def over() -> bool:
        run = history.look()
        events.extend(history.events(run, len(events)))
        return run.ended

    wait_until(over, "the run to end", 120)

    run = f"/workflow/{handle.execution_id}"
    assert [event.seq for event in events] == list(range(1, 3 * STEPS + 3))
    segments = [path for path in client.asked if not path.startswith(run)]
    ids = [re.split("[/?]", path)[2] for path in segments]
    assert len(set(ids)) == SEGMENTS
    assert ids == sorted(ids, key=ids.index), "a segment that has another one after it is not read again"
    assert Counter(path for path in segments if not path.endswith(("/tasks", "/status"))) == dict.fromkeys(
        (f"/workflow/{segment}" for segment in set(ids)), 1
    )
    looks = " ".join(client.asked).split(f"{run}?bare")[1:]
    assert max(len(look.split()) for look in looks) <= 5, "beside the run: its newest segment, and the one after it"


def test_a_failure_is_read_again_after_a_retry(runtime: AgentRuntime, model: Stage) -> None:
    """One handle reads before and after; what it keeps must not hide what the retry changes."""
    refusing = [True]

    def script(request: ModelRequest) -> Reply:
        if request.turn == 9 and refusing[0]:
            return fail(400, "not now")
        return counting(request)

    handle = runtime.start(Agent("refused_late", model=model.play(script), tools=[count]), "Go.")
    with pytest.raises(ExecutionFailed, match="not now"):
        handle.result(timeout=60)
    before = list(handle.stream())
    assert flags(handle.get_status()) == ("FAILED", False, False, True)
    refusing[0] = False
    handle.retry()
    assert handle.result(timeout=60).output == "done"

    after = list(handle.stream())
    assert after[: len(before)] == before
    assert after == list(elsewhere(handle).stream())
    assert [event.type for event in after[len(before) - 1 : len(before) + 1]] == ["error", "resumed"]


# ---- no duplicate, whatever became of the run ---------------------------------------------------------


Bring = Callable[[AgentHandle], None]


def _paused(handle: AgentHandle) -> None:
    handle.pause()


def _cancelled(handle: AgentHandle) -> None:
    handle.cancel()


def _retried(handle: AgentHandle) -> None:
    handle.cancel()
    handle.retry()


@pytest.mark.parametrize(
    ("bring", "expected"),
    [
        (_paused, ("PAUSED", False, True, False)),
        (_cancelled, ("TERMINATED", False, False, True)),
        (_retried, ("RUNNING", True, False, False)),
    ],
)
def test_every_state_has_one_flag(
    runtime: AgentRuntime, model: Stage, bring: Bring, expected: tuple[str, bool, bool, bool]
) -> None:
    let_go = threading.Event()

    @tool
    def linger() -> str:
        """Wait for the end of the test."""
        let_go.wait(60)
        return "waited"

    handle = runtime.start(Agent("in_all_states", model=model.play([call("linger")]), tools=[linger]), "Go.")
    wait_until(lambda: handle.get_status().current_task == "linger", "the call to begin")

    bring(handle)

    status = handle.get_status()
    assert flags(status) == expected
    assert flags(elsewhere(handle).get_status()) == expected
    if not status.is_complete:
        handle.cancel()
    let_go.set()
