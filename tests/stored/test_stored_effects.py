"""The effect ledger of runs that an earlier version left on a server."""

from __future__ import annotations

import pytest

from agentspan.reading.effects import effects_in
from agentspan.reading.history import History
from agentspan.reading.ledger import Effect

from .server import RUNS, RecordedRun


def effects_of(name: str) -> list[Effect]:
    run = RecordedRun(next(path for path in RUNS if path.stem == name))
    return effects_in(run, run.execution_id)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_what_was_begun_is_in_the_ledger(path: object) -> None:
    """No more than the calls there were, and none of those that were told a result is missing."""
    name = path.stem  # type: ignore[attr-defined]
    run = RecordedRun(next(each for each in RUNS if each.stem == name))
    calls = [call for step in History(run, run.execution_id).steps() for call in step.calls]  # type: ignore[arg-type]
    found = effects_of(name)

    assert len({effect.key for effect in found}) == len(found)
    with_a_result = [call.call_id for call in calls if call.attempts and call.attempts[-1].status == "done"]
    assert [each.call_id for each in found if each.state == "done"] == with_a_result
    assert all(each.tries >= 1 and len(each.attempts) <= each.tries for each in found)


def test_what_no_tool_was_begun_for_is_not_there() -> None:
    assert {each.tool for each in effects_of("unknown_tools")} == {"add"}
    assert effects_of("waits_for_a_worker") == []
    assert effects_of("one_answer") == []


def test_a_dead_workers_call_is_doubtful() -> None:
    (effect,) = [each for each in effects_of("worker_died") if each.is_doubtful]

    assert (effect.state, effect.tries, effect.repeated) == ("done", 2, True)
    assert [cut.why.partition(":")[0] for cut in effect.cut_off] == [f"Its worker {effect.cut_off[0].worker} died"]
    assert effect.to_json()["cut_off"][0]["worker"] == effect.cut_off[0].worker


def test_a_try_that_raised_is_no_cut() -> None:
    repeated = [each for each in effects_of("tool_tried_again") if each.repeated]

    assert repeated
    assert not [cut for each in repeated for cut in each.cut_off]


def test_a_cancelled_run_leaves_what_nobody_knows() -> None:
    last = effects_of("cancelled")[-1]

    assert (last.state, last.is_doubtful) == ("unknown", True)
