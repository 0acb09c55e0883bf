"""What the watchdog asks of the engine, for each way in which a run can stand still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from agentspan.control.watchdog import LAST, UNTAKEN, Watchdog, _begun_as
from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import ServerUnreachable
from agentspan.stored.lease import RESPONSE_TIMEOUT
from tests.unit.little_engine import Json, LittleEngine, ago, serving

REFUSED = 'LLM call failed with status 401: {"error": {"message": "no such key"}}'
OVERLOADED = 'LLM call failed with status 529: {"error": {"message": "too many"}}'


@pytest.fixture
def engine() -> LittleEngine:
    return LittleEngine()


@pytest.fixture
def client(engine: LittleEngine) -> Iterator[Conductor]:
    with serving(engine) as opened:
        yield opened


def task(reference: str, status: str = "SCHEDULED", age: float = 0.0, **fields: Any) -> Json:
    kind = {"llm": "LLM_CHAT_COMPLETE", "segment": "SUB_WORKFLOW", "join": "JOIN"}.get(reference.split("_")[0], "a.add")
    moment = ago(age)
    about = {"taskId": f"task-of-{reference}", "taskType": kind, "taskDefName": kind, "workflowInstanceId": "run"}
    times = {"scheduledTime": moment, "startTime": moment, "updateTime": moment}
    return {**about, "referenceTaskName": reference, "status": status, **times, **fields}


def looked(engine: LittleEngine, client: Conductor, *tasks: Json, **fields: Any) -> Watchdog:
    """A watchdog that has just looked at a run with these tasks."""
    engine.executions["run"] = {"workflowId": "run", "status": "RUNNING", "tasks": list(tasks), **fields}
    dog = Watchdog(client)
    dog.watch("run")
    dog.hurry()
    dog.round()
    return dog


def decided(engine: LittleEngine) -> list[str]:
    return [
        path.removeprefix("/workflow/decide/") for _, path, _ in engine.done if path.startswith("/workflow/decide/")
    ]


def updates(engine: LittleEngine) -> list[Json]:
    return engine.changes("POST", "/tasks")


# ---- what is due --------------------------------------------------------------------------------------------


def test_a_call_whose_lease_is_over_is_decided(engine: LittleEngine, client: Conductor) -> None:
    looked(engine, client, task("tool_1", "IN_PROGRESS", age=RESPONSE_TIMEOUT + 1))

    assert (decided(engine), updates(engine)) == (["run"], [])


def test_a_call_on_its_lease_is_left_alone_and_looked_at_when_that_ends(
    engine: LittleEngine, client: Conductor
) -> None:
    dog = looked(engine, client, task("tool_1", "IN_PROGRESS", age=RESPONSE_TIMEOUT - 0.5))

    assert engine.done == []
    assert dog._watched["run"].due - time.monotonic() < 0.7


@pytest.mark.parametrize(
    ("age", "callback", "branches", "pushed"),
    [
        (1.0, 0, ["COMPLETED"], False),  # the engine is about to look
        (UNTAKEN + 2, 0, ["COMPLETED", "COMPLETED_WITH_ERRORS"], True),  # its message is lost
        (1.0, 500, ["COMPLETED"], True),  # the engine will not look for long
        (UNTAKEN + 2, 0, ["COMPLETED", "IN_PROGRESS"], False),  # it waits
        (UNTAKEN + 2, 0, ["FAILED", "IN_PROGRESS"], True),  # and so it does no more
    ],
    ids=["about to be looked at", "lost", "put off", "waiting", "failed"],
)
def test_a_join_that_waits_for_nothing_is_pushed_unless_it_is_looked_at_anyway(
    engine: LittleEngine, client: Conductor, age: float, callback: int, branches: list[str], pushed: bool
) -> None:
    calls = [task(f"tool_1_{number}", status) for number, status in enumerate(branches, 1)]
    joined = {"joinOn": [each["referenceTaskName"] for each in calls]}
    waiting = task("join_1", "IN_PROGRESS", age, callbackAfterSeconds=callback, inputData=joined)

    looked(engine, client, *calls, waiting)

    assert [update["taskId"] for update in updates(engine)] == ["task-of-join_1"] * pushed


def test_a_call_that_nobody_took_though_its_queue_is_polled_is_pushed_again(
    engine: LittleEngine, client: Conductor
) -> None:
    engine.polled["a.add"] = ago(1)
    looked(engine, client, task("tool_1", age=4))

    (update,) = updates(engine)
    assert update["taskId"] == "task-of-tool_1"
    assert (update["status"], update["callbackAfterSeconds"]) == ("IN_PROGRESS", 0)


@pytest.mark.parametrize("polled", [None, LAST + 5])
def test_a_call_that_no_worker_asks_for_waits(engine: LittleEngine, client: Conductor, polled: float | None) -> None:
    if polled is not None:
        engine.polled["a.add"] = ago(polled)
    looked(engine, client, task("tool_1", age=60))

    assert engine.done == []


@pytest.mark.parametrize("fields", [{"age": 1}, {"age": 4, "callbackAfterSeconds": 10}])
def test_a_call_that_is_to_wait_is_not_pushed(engine: LittleEngine, client: Conductor, fields: Any) -> None:
    engine.polled["a.add"] = ago(1)
    looked(engine, client, task("tool_1", **fields))

    assert engine.done == []


def test_a_model_call_that_died_with_the_server_is_pushed_again(engine: LittleEngine, client: Conductor) -> None:
    engine.process_started = ago(5)
    looked(engine, client, task("llm_1", "IN_PROGRESS", age=30))

    assert [update["taskId"] for update in updates(engine)] == ["task-of-llm_1"]


def test_a_model_call_that_takes_long_is_not_made_twice(engine: LittleEngine, client: Conductor) -> None:
    engine.process_started = ago(600)
    looked(engine, client, task("llm_1", "IN_PROGRESS", age=30))

    assert (decided(engine), updates(engine)) == (["run"], [])


def test_what_has_just_begun_is_left_alone(engine: LittleEngine, client: Conductor) -> None:
    looked(engine, client, task("llm_1", "IN_PROGRESS", age=1), task("join_1", "IN_PROGRESS", age=1))

    assert engine.done == []


def test_a_run_with_nothing_to_do_is_decided(engine: LittleEngine, client: Conductor) -> None:
    """What is due next may have been lost between two tasks."""
    looked(engine, client, task("llm_1", "COMPLETED", age=30))

    assert decided(engine) == ["run"]


# ---- model calls that wait for their next try ----------------------------------------------------------------


def tried_again(reason: str) -> list[Json]:
    failed = task("llm_1", "FAILED", age=5, taskId="first", reasonForIncompletion=reason)
    return [failed, task("llm_1", taskId="second", retriedTaskId="first", callbackAfterSeconds=30)]


def test_a_refusal_for_good_is_not_tried_again(engine: LittleEngine, client: Conductor) -> None:
    looked(engine, client, *tried_again(REFUSED))

    (update,) = updates(engine)
    assert (update["taskId"], update["status"]) == ("second", "FAILED_WITH_TERMINAL_ERROR")
    assert update["reasonForIncompletion"] == REFUSED


def test_a_failure_that_may_pass_is_tried_again(engine: LittleEngine, client: Conductor) -> None:
    looked(engine, client, *tried_again(OVERLOADED))

    assert updates(engine) == []


# ---- segments -------------------------------------------------------------------------------------------------


def test_the_segment_of_a_run_is_looked_at_too(engine: LittleEngine, client: Conductor) -> None:
    tasks = [task("tool_1", "IN_PROGRESS", age=RESPONSE_TIMEOUT + 1)]
    engine.executions["part"] = {"workflowId": "part", "status": "RUNNING", "tasks": tasks}
    dog = looked(engine, client, task("segment__1", "IN_PROGRESS", subWorkflowId="part"))
    assert engine.done == []

    dog.hurry()
    dog.round()

    assert decided(engine) == ["part"]


GIVEN = {"transcript": {"messages": []}, "usage": {"prompt_tokens": 3}, "steps": 8, "again": None}


def cut_off() -> Json:
    return task("segment__2", age=30, inputData={"workflowInput": {**GIVEN, "previous": "part-1", "prompt": "Go."}})


def test_a_segment_that_begun_all_the_same_is_made_known_to_its_run(engine: LittleEngine, client: Conductor) -> None:
    engine.process_started = ago(5)
    begun = _begun_as(TaskRecord.model_validate(cut_off()))
    engine.executions[begun] = {"workflowId": begun, "status": "RUNNING", "tasks": []}
    looked(engine, client, cut_off())

    (update,) = updates(engine)
    assert (update["status"], update["subWorkflowId"]) == ("IN_PROGRESS", begun)
    assert update["outputData"] == {"subWorkflowId": begun}


def test_a_segment_that_never_begun_is_passed_over_with_what_it_was_given(
    engine: LittleEngine, client: Conductor
) -> None:
    engine.process_started = ago(5)
    looked(engine, client, cut_off())

    (update,) = updates(engine)
    assert (update["status"], update["subWorkflowId"]) == ("COMPLETED", "part-1")
    assert update["outputData"] == {**GIVEN, "subWorkflowId": "part-1"}


# ---- until when -----------------------------------------------------------------------------------------------


def test_a_run_that_is_over_is_forgotten_and_the_one_above_hears_of_it(engine: LittleEngine, client: Conductor) -> None:
    dog = looked(engine, client, status="COMPLETED", parentWorkflowId="above")

    assert decided(engine) == ["above"]
    dog.hurry()
    dog.round()
    assert decided(engine) == ["above"]


def test_a_run_that_was_removed_is_forgotten(engine: LittleEngine, client: Conductor) -> None:
    dog = looked(engine, client, task("llm_1", "IN_PROGRESS"))
    del engine.executions["run"]

    dog.hurry()
    dog.round()

    assert dog._watched == {}


def test_what_the_engine_refuses_keeps_nobody_from_the_next_run(engine: LittleEngine, client: Conductor) -> None:
    tasks = [task("tool_1", "IN_PROGRESS", age=RESPONSE_TIMEOUT + 1)]
    engine.executions["other"] = {"workflowId": "other", "status": "RUNNING", "tasks": tasks}
    engine.before = lambda method, path: (500, {"message": "locked"}) if path.endswith("/decide/run") else None
    dog = looked(engine, client, *tasks)

    dog.watch("other")
    dog.hurry()
    dog.round()

    assert decided(engine) == ["other"]


def test_runs_stay_watched_while_the_server_is_away(engine: LittleEngine, client: Conductor) -> None:
    dog = looked(engine, client, task("llm_1", "IN_PROGRESS"))
    engine.before = lambda method, path: (503, {"message": "nobody is behind this proxy"})
    dog.hurry()

    with pytest.raises(ServerUnreachable):
        dog.round()
    assert set(dog._watched) == {"run"}


def test_a_run_that_stands_still_is_looked_at_less_and_less_often(engine: LittleEngine, client: Conductor) -> None:
    dog = looked(engine, client, task("llm_1", "IN_PROGRESS"))
    pauses = []
    for _ in range(8):
        watched = dog._watched["run"]
        pauses.append(watched.pause)
        watched.due = 0.0
        dog.round()

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.0, LAST)
    engine.executions["run"]["tasks"] = [task("tool_1", "IN_PROGRESS")]
    dog._watched["run"].due = 0.0
    dog.round()
    assert dog._watched["run"].pause == 1.0, "it has moved"


def test_a_run_that_moves_is_not_read(engine: LittleEngine, client: Conductor) -> None:
    dog = Watchdog(client)
    dog.watch("run")

    dog.progressed("run")
    dog.round()  # the engine has no such run: had it been read, it would be forgotten

    assert set(dog._watched) == {"run"}
