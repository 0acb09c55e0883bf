"""Lists of many runs, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from agentspan.agents import AgentRuntime
from agentspan.engine.records import RunSummary
from agentspan.reading.index import PAGE, Filter, runs
from agentspan.stored.names import OWNER
from agentspan.testing import wait_until

NAME = "listed_in_pages"


@pytest.fixture
def registered(runtime: AgentRuntime) -> str:
    """An agent as far as a list knows; its runs are over at once."""
    end = {
        "name": "end",
        "taskReferenceName": "end",
        "type": "TERMINATE",
        "inputParameters": {"terminationStatus": "COMPLETED"},
    }
    definition = {"name": NAME, "version": 1, "schemaVersion": 2, "ownerEmail": "a@b.c", "tasks": [end]}
    runtime.client.create_workflow_definition({**definition, "ownerApp": OWNER, "metadata": {"agent": NAME}})
    return NAME


def begin(runtime: AgentRuntime, count: int) -> set[str]:
    """Start runs, several in a millisecond; return once the index has them."""
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda number: runtime.client.start_workflow(NAME, 1, {"number": number}), range(count)))
    newest = f'workflowType="{NAME}"'
    wait_until(
        lambda: ids <= {run.workflow_id for run in runtime.client.search(newest, size=5_000)}, "the index to know them"
    )
    return ids


def listed(found: Iterator[RunSummary], count: int | None = None) -> list[str]:
    return [run.workflow_id for run in islice(found, count)]


@pytest.mark.timeout(300)
def test_each_run_is_listed_once_though_others_begin_and_go_meanwhile(
    runtime: AgentRuntime, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = begin(runtime, 2 * PAGE + 30)
    found = runs(runtime.client, Filter(agent=registered))

    first = listed(found, PAGE)
    later = begin(runtime, 15)
    for execution_id in first[:12]:
        runtime.client.remove(execution_id)
    rest = listed(found)

    assert len(first + rest) == len(set(first + rest)), "none twice"
    assert set(first + rest) == before, "and none left out"
    again: list[RunSummary] = []

    def there() -> bool:
        again[:] = runs(runtime.client, Filter(agent=registered))
        return {run.workflow_id for run in again} == (before | later) - set(first[:12])

    wait_until(there, "the index to have all that is there, and nothing else", 60)  # the server writes it later
    times = [run.start_time for run in again]
    assert times == sorted(times, reverse=True)

    # As if more of them had begun in one millisecond than are on a page.
    monkeypatch.setattr("agentspan.reading.index.PAGE", 1)
    small = listed(runs(runtime.client, Filter(agent=registered)))
    assert sorted(small) == sorted(run.workflow_id for run in again)
