"""Runs that an earlier version left on a server are read as that version read them; no server is needed for that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentspan.reading.ending import error_of, result_of
from agentspan.reading.history import History

from .server import RUNS, RecordedRun

ENDED = [path for path in RUNS if json.loads(path.read_text(encoding="utf-8"))["status"]["is_complete"]]
RUNS_BY_NAME = {path.stem: path for path in RUNS}
OPEN = [path for path in RUNS if path not in ENDED]


def name(path: Path) -> str:
    return path.stem


def as_json(values: Any) -> Any:
    return json.loads(json.dumps([value.to_json() for value in values]))


def as_far_as(found: Any, then: Any) -> Any:
    """What is told now, without what the version of then told nothing of."""
    if isinstance(found, list) and isinstance(then, list):
        return [as_far_as(*both) for both in zip(found, then, strict=True)]
    if isinstance(found, dict) and isinstance(then, dict):
        return {name: as_far_as(found[name], then[name]) for name in then if name in found}
    return found


def test_each_kind_of_run_is_there() -> None:
    assert {path.stem for path in OPEN} == {"paused", "waits_for_a_worker"}
    assert len(ENDED) >= 17


@pytest.mark.parametrize("path", ENDED, ids=name)
def test_its_events_are_those_of_then(path: Path) -> None:
    run = RecordedRun(path)
    history = History(run, run.execution_id)  # type: ignore[arg-type]

    events = as_json(history.events(history.look()))
    used = [event["usage"] for event in events if "usage" in event]
    assert as_far_as(events, run.recording["events"]) == run.recording["events"]
    told = run.recording["result"].get("usage") or run.recording["status"]["usage"]
    assert sum(usage["prompt_tokens"] for usage in used) == told["prompt_tokens"]


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_its_steps_are_those_of_then(path: Path) -> None:
    run = RecordedRun(path)

    steps = as_json(History(run, run.execution_id).steps())  # type: ignore[arg-type]
    assert as_far_as(steps, run.recording["steps"]) == run.recording["steps"]


@pytest.mark.parametrize("path", ENDED, ids=name)
def test_its_status_is_that_of_then(path: Path) -> None:
    run = RecordedRun(path)
    status = json.loads(json.dumps(History(run, run.execution_id).status().to_json()))  # type: ignore[arg-type]

    assert {name: status[name] for name in run.recording["status"]} == run.recording["status"]


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_an_open_run_is_where_it_was(path: Path) -> None:
    run = RecordedRun(path)
    status = History(run, run.execution_id).status().to_json()  # type: ignore[arg-type]

    for what in ("status", "step", "max_steps", "agent", "current_task", "usage"):
        assert status[what] == run.recording["status"][what]


@pytest.mark.parametrize("path", ENDED, ids=name)
def test_its_result_is_that_of_then(path: Path) -> None:
    run = RecordedRun(path)
    expected = run.recording["result"]
    record = run.workflow(run.execution_id)
    result = result_of(record)
    found = result.to_json()
    if result.is_failed:
        error = error_of(record, result)
        found = {"error": type(error).__name__, "message": error.message}

    read = json.loads(json.dumps(found))
    assert {name: read[name] for name in expected} == expected, "a later version may tell more"


def test_a_status_reads_the_run_and_its_newest_segment_and_nothing_else() -> None:
    """However long the run is: a reader that knows nothing of it reads no segment before the newest."""
    run = RecordedRun(RUNS_BY_NAME["three_segments"])
    newest = run.newest_segment()
    History(run, run.execution_id).status()  # type: ignore[arg-type]

    assert set(run.asked) == {run.execution_id, newest}
    assert len(run.asked) <= 4


def test_the_last_step_is_read_from_the_newest_segment() -> None:
    run = RecordedRun(RUNS_BY_NAME["three_segments"])
    newest = run.newest_segment()
    (step,) = History(run, run.execution_id).steps(1)  # type: ignore[arg-type]

    assert step.number == 21
    assert set(run.asked) == {run.execution_id, newest}
