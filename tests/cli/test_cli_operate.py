"""`agent list`, `agent prune`, `agent open` and `worker list`, on the real server."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ExecutionFailed, NotFound, tool
from agentspan.cli import main
from agentspan.reading.history import History
from agentspan.testing import call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage


def invoke(runtime: AgentRuntime, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["--server", runtime.settings.server_url, *words])
    assert result.exit_code == code, result.output
    return result


def data(runtime: AgentRuntime, *words: str) -> Any:
    return json.loads(invoke(runtime, *words, "-o", "json").stdout)


def ids(runtime: AgentRuntime, *words: str) -> list[str]:
    return [run["execution_id"] for run in data(runtime, "agent", "list", *words)]


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An agent's name that no run of before has, on whatever server."""
    return f"{request.node.name}_{datetime.now(UTC):%H%M%S%f}"[-90:].lstrip("_")


# ---- list -----------------------------------------------------------------------------------------------


def test_pages_of_a_list(runtime: AgentRuntime, model: Stage, name: str) -> None:
    agent = Agent(name, model=model.play([say("8")]))
    handles = [runtime.start(agent, "Go.") for _ in range(5)]
    for handle in handles:
        handle.result(timeout=60)
    every = [handle.execution_id for handle in reversed(handles)]
    pages = [invoke(runtime, "agent", "list", "--agent", name, "--limit", "2", "--page", str(n)) for n in (1, 2, 3)]

    rows = [page.stdout.splitlines()[1:] for page in pages]
    assert [len(page) for page in rows] == [2, 2, 1]
    assert [row.split()[0] for page in rows for row in page] == every
    assert [page.stderr for page in pages] == ["There are more: --page 2\n", "There are more: --page 3\n", ""]


def test_runs_by_status_and_age(runtime: AgentRuntime, model: Stage, name: str) -> None:
    good = runtime.start(Agent(name, model=model.play([say("8")])), "Go.")
    good.result(timeout=60)
    begun = datetime.fromisoformat(data(runtime, "agent", "list", "--agent", name)[0]["started"])
    bad = runtime.start(Agent(name, model=model.play([fail(400, "no")])), "Go.")
    with pytest.raises(ExecutionFailed):
        bad.result(timeout=90)

    both = [bad.execution_id, good.execution_id]
    wait_until(lambda: ids(runtime, "--agent", name, "--status", "FAILED") == both[:1], "the index")
    assert ids(runtime, "--agent", name) == both
    assert ids(runtime, "--agent", name, "--status", "completed", "--status", "failed") == both
    assert ids(runtime, "--agent", name, "--since", "1h") == both
    assert ids(runtime, "--agent", name, "--before", "1h") == []
    assert ids(runtime, "--agent", name, "--since", begun.isoformat()) == both
    after = (begun + timedelta(milliseconds=1)).isoformat()
    assert ids(runtime, "--agent", name, "--since", after) == both[:1]
    assert ids(runtime, "--agent", name, "--before", after) == both[1:]


RUN = {"execution_id": str, "agent": str, "version": int, "status": str, "started": str, "ended": str, "elapsed": float}


def test_the_schema_of_a_run(runtime: AgentRuntime, model: Stage, name: str) -> None:
    runtime.run(Agent(name, model=model.play([say("8")])), "Go.")
    wait_until(lambda: ids(runtime, "--agent", name, "--status", "COMPLETED"), "the index")
    (line,) = invoke(runtime, "agent", "list", "--agent", name, "-o", "jsonl").stdout.splitlines()
    run = json.loads(line)

    assert {key: type(value) for key, value in run.items()} == {**RUN, "asking": list, "usage": dict}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["agent", "list", "--since", "soon"], "neither an age such as 30m"),
        (["agent", "list", "--before", "99999999999999w"], "neither an age such as 30m"),
        (["agent", "list", "--agent", 'x" OR "y'], "is not an agent's name"),
        (["agent", "prune"], "Missing option '--older-than'"),
        (["agent", "prune", "--older-than", "1d", "--status", "RUNNING"], "'RUNNING' is not one of"),
    ],
)
def test_what_makes_no_sense_is_refused(runtime: AgentRuntime, words: list[str], message: str) -> None:
    result = invoke(runtime, *words, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.output


# ---- prune ----------------------------------------------------------------------------------------------


@pytest.fixture
def long_run(runtime: AgentRuntime, model: Stage, name: str) -> AgentHandle:
    """A run that ended, with two segments."""
    script = [*(call("double", number=number) for number in range(9)), say("done")]
    handle = runtime.start(Agent(name, model=model.play(script), tools=[double]), "Go.")
    handle.result(timeout=120)
    wait_until(lambda: ids(runtime, "--agent", name, "--status", "COMPLETED"), "the index")
    return handle


def stored(runtime: AgentRuntime, execution_id: str) -> bool:
    try:
        runtime.client.workflow(execution_id, tasks=False)
    except NotFound:
        return False
    return True


def test_prune_deletes_ended_runs_with_their_segments(
    runtime: AgentRuntime, model: Stage, name: str, long_run: AgentHandle
) -> None:
    unserved = Agent(name, model=model.play([call("idle"), say("late")]), tools=[tool(lambda: None, name="idle")])
    alive = runtime.start(unserved, "Go.", serve=False)
    history = History(runtime.client, long_run.execution_id)
    segments = history.segment_ids(history.run())
    everything = [*segments, long_run.execution_id]
    now = datetime.now(UTC).isoformat()
    words = ["agent", "prune", "--agent", name, "--older-than"]

    assert len(segments) == 2
    assert "0 runs would be deleted" in invoke(runtime, *words, "1h", "--dry-run").stderr
    dry = invoke(runtime, *words, now, "--dry-run")
    (row,) = dry.stdout.splitlines()[1:]
    assert (row.split()[0], row.split()[-1]) == (long_run.execution_id, "2")
    refused = invoke(runtime, *words, now, code=2)
    assert "give --yes, or --dry-run" in refused.stderr
    assert "0 runs were deleted" in invoke(runtime, *words, now, "--status", "FAILED", "--yes").stderr
    assert all(stored(runtime, each) for each in everything)

    pruned = data(runtime, *words, now, "--yes")

    assert pruned["dry_run"] is False
    assert [(run["execution_id"], run["segments"]) for run in pruned["runs"]] == [(long_run.execution_id, 2)]
    assert list(pruned["runs"][0]) == [*RUN, "segments"]
    assert not any(stored(runtime, each) for each in everything)
    wait_until(lambda: ids(runtime, "--agent", name) == [alive.execution_id], "the index to forget it")
    assert runtime.client.search(f'parentWorkflowId="{long_run.execution_id}"') == []
    assert stored(runtime, alive.execution_id)
    alive.cancel()


def test_a_prune_that_was_interrupted_is_finished_by_the_next(
    runtime: AgentRuntime, name: str, long_run: AgentHandle
) -> None:
    history = History(runtime.client, long_run.execution_id)
    oldest, newest = history.segment_ids(history.run())
    runtime.client.remove(oldest)

    now = datetime.now(UTC).isoformat()
    (line,) = invoke(
        runtime, "agent", "prune", "--agent", name, "--older-than", now, "--yes", "-o", "jsonl"
    ).stdout.splitlines()
    assert json.loads(line)["segments"] == 1
    assert not stored(runtime, newest)
    assert not stored(runtime, long_run.execution_id)


# ---- open -----------------------------------------------------------------------------------------------


def test_open_prints_an_address_that_answers(
    runtime: AgentRuntime, model: Stage, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = runtime.start(Agent(name, model=model.play([say("8")])), "Go.")
    handle.result(timeout=60)

    told = invoke(runtime, "agent", "open", handle.execution_id)
    assert "AGENTSPAN_UI_URL" in told.stderr, "Conductor's jar has no user interface"
    url = told.stdout.strip()
    assert url == f"{runtime.settings.base_url}/execution/{handle.execution_id}"
    page = httpx.get(url)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert data(runtime, "agent", "open", handle.execution_id) == {"execution_id": handle.execution_id, "url": url}

    monkeypatch.setenv("AGENTSPAN_UI_URL", "https://conductor.example/ui/")
    told = invoke(runtime, "agent", "open", handle.execution_id)
    assert told.stdout.strip() == f"https://conductor.example/ui/execution/{handle.execution_id}"
    assert told.stderr == ""


# ---- workers --------------------------------------------------------------------------------------------

QUEUE = {
    "agent": str,
    "tool": str,
    "task_name": str,
    "served": bool,
    "busy": bool,
    "worker": str,
    "last_poll": str,
    "queued": int,
}


def test_workers_and_what_waits_for_them(runtime: AgentRuntime, model: Stage, name: str) -> None:
    began, go_on = threading.Semaphore(0), threading.Event()

    @tool
    def gate(number: int) -> int:
        """Wait."""
        began.release()
        go_on.wait(90)
        return number

    script = [calls(*(call("gate", number=number) for number in range(3))), say("done")]
    agent = Agent(name, model=model.play(script), tools=[gate, double])
    handle = runtime.start(agent, "Go.", serve=False)

    def listed(*words: str) -> dict[str, Any]:
        return {queue["tool"]: queue for queue in data(runtime, "worker", "list", "--agent", name, *words)}

    wait_until(lambda: listed().get("gate", {}).get("queued") == 3, "three calls in the queue")
    assert list(listed()) == ["gate"]
    unserved = listed("--all")
    assert list(unserved) == ["double", "gate"]
    assert [(unserved["double"][key]) for key in ("served", "worker", "last_poll", "queued")] == [False, None, None, 0]
    assert "never" in invoke(runtime, "worker", "list", "--agent", name).stdout

    runtime.serve(agent, blocking=False)
    wait_until(lambda: all(queue["served"] for queue in listed("--all").values()), "both to be served")
    for _ in range(3):
        assert began.acquire(timeout=60)
    served = listed()["gate"]
    assert {key: type(value) for key, value in served.items()} == QUEUE
    assert served["queued"] == 0, "what runs is not counted"
    assert served["worker"] == runtime._serving.host().worker_id
    assert served["task_name"] == f"{name}.gate"
    text = invoke(runtime, "worker", "list", "--agent", name).stdout
    assert text.splitlines()[0].split() == ["AGENT", "TOOL", "SERVED", "WORKER", "LAST", "POLL", "QUEUED"]
    go_on.set()
    handle.result(timeout=90)
    assert "No tool is served" in invoke(runtime, "worker", "list", "--agent", "nobody").stderr
