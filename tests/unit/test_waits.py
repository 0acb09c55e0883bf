"""What a run waits for, where the real server takes long to get there, or would have to fail: a stand-in does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentspan.agents import Reason
from agentspan.engine.records import PollRecord, TaskRecord, WorkflowRecord
from agentspan.reading.waits import Waits, ending

NOW = 1_790_000_000_000
"""Milliseconds since 1970: what the clock shows."""

SERVE = "agentspan worker start MODULE:AGENT    with the agent analyst"
BY_HAND = "agentspan agent answer exec-1 read VALUE    gives its result by hand"


class Server:
    """As much of a server as it takes: one run without segments, with these tasks."""

    def __init__(self, *tasks: TaskRecord, poll: PollRecord | None = None, **run: Any) -> None:
        definition = {"metadata": {"agent": "analyst"}}
        self._run = WorkflowRecord(
            workflow_id="exec-1", workflow_definition=definition, tasks=list(tasks), **{"status": "RUNNING", **run}
        )
        self._polls = [] if poll is None else [poll]

    def workflow(self, execution_id: str, *, tasks: bool = True) -> WorkflowRecord:
        return self._run

    def now(self) -> float:
        return NOW / 1000

    def polls(self, task_name: str) -> list[PollRecord]:
        assert task_name == "analyst.read"
        return self._polls

    def queue_sizes(self, task_names: list[str]) -> dict[str, int]:
        return dict.fromkeys(task_names, 4)


def the_reason(server: Server) -> Reason:
    """The only one, without the values that it is made from."""
    run = server.workflow("exec-1")
    (reason,) = [ending(run)] if run.ended else Waits(server, run).of(run)  # type: ignore[arg-type]
    return replace(reason, task_id=None, missing=None, busy=None)


def call_of_read(**values: Any) -> TaskRecord:
    given = {"task_id": "t-1", "task_def_name": "analyst.read", "reference_task_name": "tool_1", **values}
    return TaskRecord(**given)


def call_of_the_model(**values: Any) -> TaskRecord:
    asked = {"llmProvider": "openai", "model": "gpt-4o"}
    return TaskRecord(
        task_id="t-1", task_type="LLM_CHAT_COMPLETE", reference_task_name="llm_1", input_data=asked, **values
    )


def ago(seconds: float) -> int:
    return NOW - int(1000 * seconds)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def polled(seconds: float) -> PollRecord:
    return PollRecord(queue_name="analyst.read", worker_id="w-1", last_poll_time=ago(seconds))


def test_a_worker_of_another_version() -> None:
    noted = {"at": ago(12), "why": "The worker w-1 serves version 1 of the agent, the run has 2.", "open": True}
    task = call_of_read(status="SCHEDULED", scheduled_time=ago(30), worker_id="w-1", output_data={"mismatch": noted})

    assert the_reason(Server(task, poll=polled(1))) == Reason(
        kind="missing_worker",
        text="It needs a worker with another version of read, since 12.0s: "
        "The worker w-1 serves version 1 of the agent, the run has 2.",
        since=moment(ago(12)),
        tool="read",
        worker="w-1",
        next=(SERVE, BY_HAND),
    )


def test_a_version_that_fits_again_is_no_reason() -> None:
    noted = {"at": ago(12), "why": "another version", "open": False, "until": ago(2)}
    task = call_of_read(status="SCHEDULED", scheduled_time=ago(30), output_data={"mismatch": noted})

    assert the_reason(Server(task, poll=polled(1))).kind == "tool_queued"


def test_workers_that_are_gone() -> None:
    task = call_of_read(status="SCHEDULED", scheduled_time=ago(41.2))

    assert the_reason(Server(task, poll=polled(75))) == Reason(
        kind="missing_worker",
        text="It needs a worker that serves read, since 41.2s: the last one asked 1m15s ago.",
        since=moment(ago(41.2)),
        tool="read",
        worker="w-1",
        next=(SERVE, BY_HAND),
    )


@pytest.mark.parametrize(("seconds", "kind"), [(20, "tool_queued"), (20.001, "missing_worker")])
def test_a_worker_counts_for_a_while(seconds: float, kind: str) -> None:
    task = call_of_read(status="SCHEDULED", scheduled_time=ago(41))

    assert the_reason(Server(task, poll=polled(seconds))).kind == kind


def test_a_call_in_the_queue() -> None:
    task = call_of_read(status="SCHEDULED", scheduled_time=ago(7), callback_after_seconds=2)

    assert the_reason(Server(task, poll=polled(1))) == Reason(
        kind="tool_queued",
        text="read waits for its turn, since 5.0s: workers serve it, 4 calls are in its queue, "
        "and they are busy or its limits are reached.",
        since=moment(ago(5)),
        tool="read",
        worker="w-1",
        next=("agentspan worker list    shows who serves it",),
    )


def test_a_worker_that_is_silent() -> None:
    task = call_of_read(status="IN_PROGRESS", start_time=ago(30), update_time=ago(5.5), worker_id="w-1")

    assert the_reason(Server(task)) == Reason(
        kind="tool_lost",
        text="The worker w-1 ran read and has been silent for 5.5s: the call goes to another worker.",
        since=moment(ago(5.5)),
        tool="read",
        worker="w-1",
        next=(SERVE,),
    )


def test_a_worker_whose_lease_is_not_over() -> None:
    failed = [{"attempt": 1, "at": ago(9), "error": "no luck"}]
    task = call_of_read(
        status="IN_PROGRESS",
        start_time=ago(30),
        update_time=ago(5),
        worker_id="w-1",
        output_data={"failures": failed},
    )

    assert the_reason(Server(task)) == Reason(
        kind="tool_running",
        text="The worker w-1 runs read, since 9.0s.",
        since=moment(ago(9)),
        tool="read",
        worker="w-1",
    )


def test_a_tool_s_next_try() -> None:
    failed = [{"attempt": number, "at": ago(10 / number), "error": f"no luck {number}."} for number in (1, 2)]
    task = call_of_read(
        status="SCHEDULED", scheduled_time=ago(30), callback_after_seconds=60, output_data={"failures": failed}
    )

    assert the_reason(Server(task)) == Reason(
        kind="tool_retry",
        text="Attempt 2 of read failed: no luck 2. The next one is due in 55.0s.",
        since=moment(ago(5)),
        tool="read",
        next=("agentspan agent again exec-1 read    tries it now",),
    )


def test_a_model_call_that_the_server_has_not_made() -> None:
    task = call_of_the_model(status="SCHEDULED", scheduled_time=ago(3))

    assert the_reason(Server(task)) == Reason(
        kind="model_queued",
        text="The call of openai/gpt-4o waits for the server to make it, since 3.0s.",
        since=moment(ago(3)),
    )


def test_a_model_that_has_not_answered() -> None:
    task = call_of_the_model(status="IN_PROGRESS", scheduled_time=ago(9), start_time=ago(8))

    assert the_reason(Server(task)) == Reason(
        kind="model_running", text="openai/gpt-4o has not answered yet, since 8.0s.", since=moment(ago(8))
    )


def test_a_run_that_met_its_time_limit() -> None:
    ended = {"status": "TIMED_OUT", "end_time": ago(90), "reason_for_incompletion": "Workflow timed out after 60s"}

    assert the_reason(Server(**ended)) == Reason(
        kind="timed_out",
        text="It met its agent's time limit: Workflow timed out after 60s",
        since=moment(ago(90)),
        next=("agentspan agent retry exec-1    goes on where it stopped",),
    )


def test_a_run_that_nobody_holds_up() -> None:
    task = call_of_the_model(status="COMPLETED", start_time=ago(8), end_time=ago(6))

    assert the_reason(Server(task)) == Reason(
        kind="engine",
        text="The server has the next move, since 6.0s.",
        since=moment(ago(6)),
        next=("agentspan agent watch exec-1    makes it look again, if that lasts",),
    )


def test_a_worker_whose_places_are_all_taken() -> None:
    busy = PollRecord(queue_name="analyst.read", domain="busy", worker_id="w-1 90", last_poll_time=ago(4))
    reason = the_reason(Server(call_of_read(status="SCHEDULED", scheduled_time=ago(60)), poll=busy))

    assert reason == Reason(
        kind="worker_busy",
        text="The worker w-1 serves read, and all its places have been taken for 1m34s; 4 calls wait.",
        since=moment(ago(94)),
        tool="read",
        worker="w-1",
        next=(SERVE, "Or give it more places: --concurrency N, or AGENTSPAN_CONCURRENCY."),
    )
