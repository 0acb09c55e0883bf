"""A ledger that outlives the workers that write it, and servers to be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import AgentHandle, AgentRuntime, Event
from agentspan.errors import ServerError
from agentspan.server import LocalServer
from agentspan.testing import WorkerProcess, wait_until
from agentspan.testing.plugin import Stage

from .ledger_agent import agent, budget_agent, handing_agent, long_agent, paying_agent, thin_agent, typed_agent

HERE = Path(__file__).parent

NOT_OVER = "status IN (RUNNING,PAUSED)"

PATIENCE = 300.0
"""Seconds that a server gets to start: generous, for machines that do other things too."""


@dataclass
class Ledger:
    """What the tools of `ledger_agent` wrote down, and workers that do."""

    path: Path
    url: str
    target: str = "ledger_agent:agent"

    def entries(self, what: str) -> list[dict[str, Any]]:
        return [entry for entry in self._all() if entry["what"] == what]

    def ended(self) -> Counter[int]:
        return Counter(entry["number"] for entry in self.entries("end"))

    def begun(self) -> Counter[int]:
        return Counter(entry["number"] for entry in self.entries("begin"))

    def check_once_each(self, numbers: Iterable[int]) -> None:
        """Each of these calls ended exactly once, and no other did; the error holds all that is known of the rest."""
        ended, expected = self.ended(), set(numbers)
        wrong = {number for number in expected | set(ended) if ended[number] != (number in expected)}
        assert not wrong, "\n".join(["calls that did not end exactly once:", *self._lines_of(wrong)])

    def _lines_of(self, numbers: set[int]) -> list[str]:
        return [json.dumps(entry) for entry in self._all() if entry["number"] in numbers]

    def _all(self) -> list[dict[str, Any]]:
        """The entries so far. A worker may be in the middle of a line, or have died there."""
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def worker(self, *options: str, **environment: str) -> WorkerProcess:
        environment["LEDGER"] = str(self.path)
        return WorkerProcess(self.target, self.url, environment=environment, cwd=HERE, options=options)


def kill(server: LocalServer) -> None:
    """`kill -9`, and wait until it is gone."""
    state = server.status()
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    wait_until(lambda: server.status() is None, "the server to be gone")


def restart(server: LocalServer) -> None:
    """Start it again after a kill."""
    server.start(wait=PATIENCE)


@contextmanager
def following(handle: AgentHandle) -> Iterator[list[Event]]:
    """What a reader in the background sees of a run; complete after the block."""
    seen: list[Event] = []
    errors: list[BaseException] = []

    def follow() -> None:
        try:
            seen.extend(AgentHandle(handle.execution_id, handle.runtime).stream())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    yield seen
    reader.join(60)
    if errors:
        raise errors[0]
    assert not reader.is_alive(), f"the reader stands still after {len(seen)} events"


@contextmanager
def explained(runtime: AgentRuntime, execution_id: str) -> Iterator[None]:
    """Adds to an error what the run looks like on the server."""
    try:
        yield
    except BaseException as error:
        with suppress(ServerError):  # it may be the one that was killed
            error.add_note("\n".join(_tasks_of(runtime, execution_id)))
        raise


def _tasks_of(runtime: AgentRuntime, execution_id: str | None) -> Iterator[str]:
    while execution_id is not None:
        workflow = runtime.client.workflow(execution_id)
        yield f"{workflow.workflow_name} {execution_id} {workflow.status}"
        for task in workflow.tasks:
            times = (task.scheduled_time, task.start_time, task.update_time, task.end_time)
            yield f"  {task.reference_task_name} {task.task_id} {task.status} {times} polled {task.poll_count}"
        execution_id = next((task.sub_workflow_id for task in reversed(workflow.tasks) if task.sub_workflow_id), None)


@pytest.fixture
def declared_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Gives a module that stands here as workers import it: by its bare name, and anew in each test."""
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return import_module


@pytest.fixture
def ledger(tmp_path: Path, conductor_url: str) -> Iterator[Ledger]:
    yield Ledger(tmp_path / "ledger.jsonl", conductor_url)
    end_runs(conductor_url)


def end_runs(url: str) -> None:
    """End what a failed test left behind: its calls would go to the workers of the next one."""
    ours = (agent, budget_agent, handing_agent, long_agent, paying_agent, thin_agent, typed_agent)
    names = ",".join((*(each.name for each in ours), "guarded_ledger"))
    end_all(url, f"workflowType IN ({names}) AND {NOT_OVER}")


def end_all(url: str, query: str) -> None:
    """End the runs that a search finds."""
    with AgentRuntime(url) as runtime:
        for run in runtime.client.search(query, size=100):
            with suppress(ServerError):  # it has ended with the one above it
                runtime.client.terminate(run.workflow_id, "its test is over")


@pytest.fixture(scope="module")
def to_be_killed(tmp_path_factory: pytest.TempPathFactory, model_stage: Stage) -> Iterator[LocalServer]:
    """The server of a module's tests: a start takes a core for ten seconds."""
    described = LocalServer(tmp_path_factory.mktemp("server"), port=0, model_urls=model_stage.server.model_urls)
    described.prepare()
    yield described
    described.stop()


@pytest.fixture
def server(to_be_killed: LocalServer) -> Iterator[LocalServer]:
    """A server to be killed, on which nothing is left of the tests before."""
    to_be_killed.start(wait=PATIENCE)
    yield to_be_killed
    to_be_killed.start(wait=PATIENCE)  # the test may have failed while it was away
    end_all(to_be_killed.url, NOT_OVER)
