"""Finding a run by the beginning of its id, where several begin alike."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agentspan.cli._runs import find_id
from agentspan.engine.records import RunSummary
from agentspan.errors import InputError, NotFound


class Index:
    """As much of a server as it takes; ids that begin alike cannot be had on purpose from a real one."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def workflow(self, execution_id: str, *, tasks: bool) -> None:
        raise NotFound(f"no execution {execution_id!r}")

    def search(self, query: str, *, size: int) -> list[RunSummary]:
        return [RunSummary(workflow_id=each, workflow_type="agent", status="RUNNING") for each in self.ids]

    def workflow_definition(self, name: str) -> dict[str, object]:
        return {"ownerApp": "agentspan", "metadata": {"agent": name}}


def find(given: str, *ids: str) -> str:
    return find_id(SimpleNamespace(client=Index(*ids)), given)  # type: ignore[arg-type]


def test_several_runs_begin_alike() -> None:
    with pytest.raises(InputError, match="Several runs begin with 'ab': abc, abd") as caught:
        find("ab", "abc", "abd", "xyz")
    assert caught.value.hint == "Give more of the id."


def test_one_run_begins_so() -> None:
    assert find("abc", "abcd", "abd") == "abcd"


def test_none_does() -> None:
    with pytest.raises(NotFound, match="no execution 'q'"):
        find("q", "abc")
