"""The parts of a worker host that need no server: places, what is remembered, and whose tools serve whom."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from agentspan.agents import (
    Agent,
    Approval,
    FunctionTermination,
    MaxMessageTermination,
    Team,
    Termination,
    TerminationContext,
    ToolCallTermination,
    tool,
)
from agentspan.engine.records import TaskRecord
from agentspan.worker import outbox
from agentspan.worker.call import Call, Served
from agentspan.worker.calls import MODEL_CALLS, Calls
from agentspan.worker.host import _worker_id
from agentspan.worker.outbox import Memory
from agentspan.worker.roster import KEPT, Roster, holds_nothing

VERSIONS = {"counting": 1, "thin": 1, "other": 1}

# ---- places -------------------------------------------------------------------------------------------


def call_of(queue: str, number: int) -> Call:
    task = TaskRecord(task_id=f"{queue}-{number}", task_def_name=queue, status="IN_PROGRESS")
    return Call(task, Served("agent", 1, cast("Any", None)), cast("Any", None))


def filled(most: int, **queues: int) -> Calls:
    calls = Calls(most)
    for queue, count in queues.items():
        for number in range(count):
            calls.add(call_of(queue, number))
    return calls


def test_one_tool_alone_has_all_places() -> None:
    assert Calls(64).room("slow", 1) == 64
    assert filled(64, slow=63).room("slow", 1) == 1


def test_a_slow_tool_leaves_places_to_quick_ones() -> None:
    assert Calls(64).room("slow", 2) == 56
    assert filled(64, slow=56).room("slow", 2) == 0
    assert filled(64, slow=56).room("quick", 2) == 8


def test_several_slow_tools_leave_each_other_its_share() -> None:
    calls = filled(64, a=40, b=16)
    assert (calls.room("a", 3), calls.room("b", 3), calls.room("c", 3)) == (0, 5, 8)


def test_few_places_are_used_all() -> None:
    assert Calls(1).room("a", 5) == 1
    assert filled(1, a=1).room("b", 5) == 0


def test_a_call_that_waits_for_a_run_takes_no_place() -> None:
    calls = filled(2, a=2)
    assert calls.room("a", 1) == 0
    with calls.waiting(calls.all()[0]):
        assert calls.room("a", 1) == 1
    assert calls.room("a", 1) == 0


# ---- what is remembered -------------------------------------------------------------------------------


def test_results_are_kept_up_to_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REMEMBERED_BYTES", 1_000)
    memory = Memory()
    for number in range(10):
        memory.put(f"call {number}", {"outputData": {"result": "x" * 300}})

    kept = [number for number in range(10) if memory.get(f"call {number}") is not None]
    assert kept == [7, 8, 9]


def test_results_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REMEMBERED", 3)
    memory = Memory()
    for number in range(5):
        memory.put(str(number), {"n": number})
    assert [memory.get(str(number)) for number in range(5)] == [None, None, {"n": 2}, {"n": 3}, {"n": 4}]


def test_results_are_kept_while_the_server_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    memory.put("first", {})
    monkeypatch.setattr(outbox, "ASKED_AGAIN", -1.0)
    memory.put("second", {})
    assert memory.get("first") is None


# ---- whose tools --------------------------------------------------------------------------------------


def by_itself(number: int) -> int:
    """Count."""
    return number


@tool
def decorated(number: int) -> int:
    """Count."""
    return number


class Counter:
    """Count for somebody."""

    def count(self, number: int) -> int:
        """Count."""
        return number

    def __call__(self, number: int) -> int:
        """Count."""
        return number


def counting_for(user: str) -> Any:
    def count(number: int) -> str:
        """Count."""
        return f"{user} {number}"

    return count


def counting_for_nobody() -> Any:
    def count(number: int) -> int:
        """Count."""
        return number

    return count


def counting_by_default(user: str) -> Any:
    def count(number: int, who: str = user) -> str:
        """Count."""
        return f"{who} {number}"

    return count


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@logged
def wrapped(number: int) -> int:
    """Count."""
    return number


def test_what_holds_no_values() -> None:
    for plain in (by_itself, decorated, wrapped, counting_for_nobody()):
        assert holds_nothing((plain if plain is decorated else tool(plain)).function), plain


def test_what_may_hold_values() -> None:
    counter = Counter()
    for function in (
        counting_for("Ann"),
        counting_by_default("Ann"),
        counter.count,
        logged(counter.count),
        logged(counting_for("Ann")),
    ):
        assert not holds_nothing(tool(function).function), function
    for function in (counter, functools.partial(by_itself)):
        assert not holds_nothing(tool(function, name="count").function)


def agent(function: Any) -> Agent:
    return Agent("counting", model="openai/x", tools=[tool(function, name="count")])


def test_a_run_is_served_by_the_tools_it_was_started_with() -> None:
    roster = Roster()
    started = [agent(counting_for(user)) for user in ("Ann", "Ben")]
    for each, run in zip(started, ("run-a", "run-b"), strict=True):
        with roster.starting(each, VERSIONS) as begun:
            begun(run)

    for each, run in zip(started, ("run-a", "run-b"), strict=True):
        served = roster.of("counting.count", run)
        assert served is not None
        assert served.tool is each.tools[0]
    assert roster.of("counting.count", "run-of-another-process") is None


def test_a_run_of_another_process_is_served_by_name_or_by_what_holds_no_values() -> None:
    roster = Roster()
    with roster.starting(agent(by_itself), VERSIONS) as begun:
        begun("run-a")
    plain = roster.of("counting.count", "elsewhere")
    assert plain is not None
    with roster.starting(agent(counting_for("Ann")), VERSIONS) as begun:
        begun("run-b")
    assert roster.of("counting.count", "elsewhere") is plain, "a closure never takes over"

    by_name = agent(counting_for("everybody"))
    roster.serve(by_name, {by_name.name: 2})
    served = roster.of("counting.count", "elsewhere")
    assert served is not None
    assert served.tool is by_name.tools[0]


def always(**_: Any) -> bool:
    return True


def enough(_: Any) -> bool:
    return False


def saying(value: Any) -> Callable[..., bool]:
    """A function that holds the values of one user."""
    return lambda *_, **__: value is None


class Own(Termination):
    def should_terminate(self, context: TerminationContext) -> bool:
        return False


def asks(when: Any) -> Agent:
    return Agent("counting", model="openai/x", tools=[tool(by_itself, name="count", approval=when)])


def tells(notify: Any) -> Agent:
    return Agent("counting", model="openai/x", tools=[tool(by_itself, name="count", approval=True)], on_request=notify)


def ends(condition: Any) -> Agent:
    tools = [tool(by_itself, name="count")]
    return Agent("counting", model="openai/x", model_place="worker", tools=tools, termination=condition)


def chooses(router: Any) -> Agent:
    return Team(
        "counting",
        [Agent("thin", model="openai/x"), Agent("other", model="openai/x")],
        strategy="router",
        router=router,
    )


def turns(until: Any) -> Agent:
    members = [Agent("thin", model="openai/x"), Agent("other", model="openai/x")]
    return Team("counting", members, strategy="round_robin", until=until)


@pytest.mark.parametrize(
    ("queue", "made", "anybodys", "somebodys"),
    [
        (
            "counting.request.check",
            asks,
            [True, always, Approval(always, deadline=9)],
            [saying(1), Approval(saying(1))],
        ),
        ("counting.request.notice", tells, [always], [saying(1), [].append]),
        (
            "counting.model",
            ends,
            [enough, MaxMessageTermination(3) | ToolCallTermination("count")],
            [saying(1), Own()],
        ),
        ("counting.model", ends, [], [MaxMessageTermination(3) & FunctionTermination(saying(1))]),
        ("counting.choose.member", chooses, [enough], [saying(1)]),
        ("counting.until.done", turns, [enough], [saying(1)]),
    ],
    ids=["approval", "notice", "termination", "conditions", "router", "until"],
)
def test_functions_beside_the_tools_are_looked_at_too(
    queue: str, made: Callable[[Any], Agent], anybodys: list[Any], somebodys: list[Any]
) -> None:
    def serves_others(given: Any) -> bool:
        roster = Roster()
        with roster.starting(made(given), VERSIONS) as begun:
            begun("run-a")
        assert queue in roster.queues()
        return roster.of(queue, "elsewhere") is not None

    assert [serves_others(each) for each in anybodys] == [True] * len(anybodys)
    assert [serves_others(each) for each in somebodys] == [False] * len(somebodys)


def test_a_second_start_of_the_same_run_changes_nothing() -> None:
    """As with an idempotency key: the first one's tools serve it."""
    roster = Roster()
    for user in ("Ann", "Ben"):
        with roster.starting(agent(counting_for(user)), VERSIONS) as begun:
            begun("run-a")
    served = roster.of("counting.count", "run-a")
    assert served is not None
    assert served.tool.function(1) == "Ann 1"


def test_a_call_waits_for_the_starts_whose_run_it_may_be_of() -> None:
    roster = Roster()
    with roster.starting(agent(by_itself), VERSIONS) as begun:
        (pending,) = roster.pending_starts("counting.count", "run-a")
        begun("run-a")
        assert roster.pending_starts("counting.count", "run-a") == []
        assert not pending.is_set()
    assert pending.is_set()
    assert roster.pending_starts("counting.count", "run-b") == []


def test_a_start_that_failed_is_waited_for_no_longer() -> None:
    roster = Roster()
    found: list[threading.Event] = []

    def start() -> None:
        with roster.starting(agent(by_itself), VERSIONS):
            found.extend(roster.pending_starts("counting.count", "run-a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start()
    assert [pending.is_set() for pending in found] == [True]


def test_runs_that_are_over_are_let_go() -> None:
    roster = Roster()
    for number in range(KEPT + 10):
        with roster.starting(agent(by_itself), VERSIONS) as begun:
            begun(f"run-{number}")
    asked = roster.oldest()
    assert asked[:2] == ["run-0", "run-1"]

    for run in asked[:12]:
        roster.is_now(run, "COMPLETED")
    assert roster.oldest() == []
    roster.is_now("run-12", "FAILED")
    assert len(roster._runs) == KEPT - 2, "one that failed may be retried"


# ---- what a host expects ------------------------------------------------------------------------------


def test_a_model_takes_no_place_of_a_tool() -> None:
    calls = Calls(2)
    task = TaskRecord(task_id="m", task_def_name="agent.model", status="IN_PROGRESS")
    calls.add(Call(task, Served("agent", 1, cast("Any", None), is_model=True), cast("Any", None)))
    assert (calls.room("a", 1), calls.room_for_models()) == (2, MODEL_CALLS - 1)


def test_hosts_of_one_process_have_names_of_their_own() -> None:
    assert len({_worker_id() for _ in range(3)}) == 3


@tool
def quick() -> None:
    """Return at once."""


def test_calls_are_expected_where_workers_call_all_models() -> None:
    roster = Roster()
    roster.serve(Agent("thin", model="openai/x", tools=[quick], model_place="worker"), VERSIONS)
    assert roster.all_expected
    roster.serve(Agent("other", model="openai/x", tools=[quick]), VERSIONS)
    assert not roster.all_expected
