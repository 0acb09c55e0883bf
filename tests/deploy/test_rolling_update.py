"""What docs/deploy.md says of workers under an orchestrator, tried on processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, calls, say, wait_until
from agentspan.testing.plugin import Stage
from tests.crash.conftest import HERE, Ledger
from tests.crash.ledger_agent import agent as ledger_agent

from .relay import Relay


@dataclasses.dataclass
class Pod:
    """A worker process with the probes of a container."""

    worker: WorkerProcess
    health: Path

    def probe(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agentspan", "worker", "check", *options]
        environment = {**os.environ, "AGENTSPAN_HEALTH_FILE": str(self.health)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


Pods = Callable[..., Pod]


@pytest.fixture
def pods(ledger: Ledger, tmp_path: Path) -> Iterator[Pods]:
    with ExitStack() as stack:

        def another(number: int, url: str = ledger.url) -> Pod:
            health = tmp_path / f"health-{number}"
            environment = {"LEDGER": str(ledger.path), "AGENTSPAN_HEALTH_FILE": str(health)}
            worker = WorkerProcess("ledger_agent:agent", url, environment=environment, cwd=HERE)
            return Pod(stack.enter_context(worker), health)

        yield another


def test_a_rolling_update_repeats_nothing(runtime: AgentRuntime, model: Stage, ledger: Ledger, pods: Pods) -> None:
    """As maxSurge 1 and maxUnavailable 0 do it: the new one becomes ready, then an old one gets SIGTERM."""

    updated = threading.Event()

    def run_of(number: int) -> AgentHandle:
        def reply(request: ModelRequest) -> Reply:
            if updated.is_set():
                return say("done")
            first = 1000 * number + 2 * request.turn
            return calls(*(call("work", number=first + part, seconds=0.7) for part in (0, 1)))

        return runtime.start(dataclasses.replace(ledger_agent, model=model.play(reply)), "Go.", serve=False)

    old = [pods(0), pods(1)]
    handles = [run_of(number) for number in range(3)]
    codes = []
    for number, pod in enumerate(old):
        new = pods(2 + number)
        wait_until(lambda new=new: new.probe("--ready").returncode == 0, "the new worker to be ready")
        wait_until(lambda pod=pod: busy(ledger, pod.worker.pid), "the old worker to be in the middle of a call")
        codes.append(pod.worker.terminate())
    before = len(ledger.entries("begin"))
    wait_until(lambda: len(ledger.entries("begin")) >= before + 6, "the new workers to take calls")
    updated.set()
    outputs = [handle.result(timeout=90).output for handle in handles]

    assert codes == [0, 0]
    assert outputs == ["done"] * 3
    assert ledger.begun() == ledger.ended()
    assert set(ledger.begun().values()) == {1}, "no call ran twice"
    results = [event.result for handle in handles for event in handle.stream() if event.type == "tool_result"]
    assert sorted(results) == sorted(ledger.ended()), "no call was lost"
    assert "tool_retry" not in [event.type for handle in handles for event in handle.stream()]


def busy(ledger: Ledger, pid: int) -> bool:
    begun = [entry for entry in ledger.entries("begin") if entry["pid"] == pid]
    ended = [entry for entry in ledger.entries("end") if entry["pid"] == pid]
    return len(begun) > len(ended)


def test_the_probes_tell_a_live_worker_from_a_hung_and_a_dead_one(
    runtime: AgentRuntime, ledger: Ledger, pods: Pods
) -> None:
    pod = pods(0)
    wait_until(lambda: pod.probe("--ready").returncode == 0, "the worker to be ready")
    assert pod.probe().stdout.startswith(f"The worker, process {pod.worker.pid}, polled ")
    assert f'"pid": {pod.worker.pid}' in pod.probe("-o", "json").stdout

    pod.worker.signal(signal.SIGSTOP)  # as a deadlock would
    wait_until(lambda: pod.probe("--max-age", "2").returncode == 1, "the probe to notice")
    assert "has not polled for" in pod.probe("--max-age", "2").stderr
    pod.worker.signal(signal.SIGCONT)
    wait_until(lambda: pod.probe("--max-age", "2").returncode == 0, "the worker to be well again")

    assert pod.worker.terminate() == 0
    assert pod.probe().returncode == 1
    assert "No worker has written" in pod.probe().stderr


def test_a_worker_without_a_server_is_alive_but_not_ready(ledger: Ledger, pods: Pods) -> None:
    """So that an orchestrator does not kill the workers, and their calls, when the server is away."""
    with Relay(ledger.url) as relay:
        pod = pods(0, relay.url)
        wait_until(lambda: pod.probe("--ready").returncode == 0, "the worker to be ready")
        relay.stop()
        wait_until(lambda: pod.probe("--ready", "--max-age", "2").returncode == 1, "the probe to notice")
        assert "no server has answered" in pod.probe("--ready", "--max-age", "2").stderr
        wait_until(lambda: pod.probe("--max-age", "5").returncode == 0, "the worker to poll on")


def test_the_depth_of_a_queue_is_what_waits(runtime: AgentRuntime, model: Stage) -> None:
    """The figure to scale on: one REST request."""
    began, release = threading.Semaphore(0), threading.Event()

    @tool
    def hold() -> str:
        """Wait."""
        began.release()
        release.wait(60)
        return "released"

    script = [calls(*[call("hold")] * 6), say("done")]
    agent = Agent("queued", model=model.play(script), tools=[hold])

    def depth() -> int:
        url = f"{runtime.settings.api_url}/tasks/queue/sizes"
        return int(requests.get(url, params={"taskType": "queued.hold"}, timeout=30).json()["queued.hold"])

    handle = runtime.start(agent, "Go.", serve=False)
    wait_until(lambda: depth() == 6, "six calls to wait")
    runtime.serve(agent, blocking=False)
    for _ in range(6):
        assert began.acquire(timeout=60)
    assert depth() == 0, "what runs is not counted"
    release.set()
    assert handle.result(timeout=60).output == "done"
