"""Which call `stop` has skipped, and what it makes of it when the engine begins that call instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentspan.control.stopping import stop
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict
from agentspan.reading.history import History
from agentspan.stored.format import FORMAT
from tests.unit.little_engine import Answer, Json, LittleEngine, ago, serving


def task(reference: str, status: str, kind: str = "a.run.model", **fields: str) -> Json:
    return {"taskId": reference, "taskType": kind, "referenceTaskName": reference, "status": status, **fields}


class Race(LittleEngine):
    """A run in its first turn, and an engine that does with each request to skip what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        metadata = {"agent": "a", "format": FORMAT}
        self.tasks_of: list[Json] = [task("llm_1", "COMPLETED"), task("tool_1", "IN_PROGRESS", "a.look")]
        segment = task("segment__1", "IN_PROGRESS", "SUB_WORKFLOW", subWorkflowId="seg")
        whole = {"metadata": metadata, "tasks": [{"type": "DO_WHILE"}]}
        self.executions = {
            "run": {"workflowId": "run", "status": "RUNNING", "tasks": [segment], "workflowDefinition": whole},
            "seg": {"workflowId": "seg", "status": "RUNNING", "tasks": self.tasks_of},
        }
        self.skips: list[str] = []
        self.lost_skips = 0
        self.left_out = False
        self.before = self._meanwhile

    def _meanwhile(self, method: str, path: str) -> Answer | None:
        if method == "GET" and path == "/workflow/seg/tasks":
            return 200, {"results": self.tasks_of}
        if method == "PUT" and "/skiptask/" in path:
            reference = path.rpartition("/")[2]
            self.skips.append(reference)
            lost = len(self.skips) <= self.lost_skips
            self.tasks_of.append(task(reference, "IN_PROGRESS" if lost else "SKIPPED"))
            if self.left_out:
                self.tasks_of[1]["status"] = "COMPLETED"
            elif self.tasks_of[1]["status"] == "COMPLETED":
                self.tasks_of.append(task("tool_2", "SCHEDULED", "a.look"))
            return 200, None
        return None


@pytest.fixture
def race() -> Race:
    return Race()


@pytest.fixture
def client(race: Race) -> Iterator[Conductor]:
    with serving(race) as opened:
        yield opened


def test_the_next_call_is_skipped(race: Race, client: Conductor) -> None:
    stop(client, History(client, "run"))

    assert race.skips == ["llm_2"]


def test_a_call_that_was_begun_instead_is_followed_by_one_that_is_skipped(race: Race, client: Conductor) -> None:
    race.lost_skips = 2
    stop(client, History(client, "run"))

    assert race.skips == ["llm_2", "llm_3", "llm_4"]


def test_what_is_about_to_begin_is_not_skipped(race: Race, client: Conductor) -> None:
    """Of a run that goes quickly a call is skipped that is further away."""
    race.tasks_of[1]["scheduledTime"] = ago(-3600)
    stop(client, History(client, "run"))

    assert race.skips == ["llm_3"]


def test_nothing_is_skipped_while_the_engine_begins_what_follows(race: Race, client: Conductor) -> None:
    race.tasks_of[1]["status"] = "COMPLETED"
    stop(client, History(client, "run"))

    assert race.skips == ["llm_3"]


def test_a_turn_that_the_engine_has_left_out_is_told(
    race: Race, client: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentspan.control.stopping.STANDS", 0.1)
    race.left_out = True

    with pytest.raises(Conflict, match="stands still"):
        stop(client, History(client, "run"))


def test_a_run_that_is_to_stop_already_is_left_alone(race: Race, client: Conductor) -> None:
    race.tasks_of.append(task("llm_2", "SKIPPED"))
    stop(client, History(client, "run"))

    assert race.skips == []
