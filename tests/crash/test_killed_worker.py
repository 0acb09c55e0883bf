"""SIGKILL to a worker: the run goes on, nothing that finished is done again."""

from __future__ import annotations

import dataclasses
import signal
import socket
import threading
import time
from contextlib import ExitStack

import psutil
import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger
from .ledger_agent import agent as ledger_agent


def script(steps: int, seconds: float) -> object:
    def reply(request: ModelRequest) -> Reply:
        return call("work", number=request.turn, seconds=seconds) if request.turn < steps else say("done")

    return reply


def an_agent(model: Stage, steps: int, seconds: float) -> Agent:
    return dataclasses.replace(ledger_agent, model=model.play(script(steps, seconds)))


def test_a_call_whose_worker_dies_runs_again_in_another_with_the_same_key(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    agent = an_agent(model, steps=3, seconds=1.0)
    handle = runtime.start(agent, "Go.", serve=False)
    with ledger.worker() as first:
        wait_until(lambda: ledger.begun()[1] == 1, "the second call to begin")
        first.kill()
    with ledger.worker():
        result = handle.result(timeout=60)

    assert result.output == "done"
    assert ledger.ended() == {0: 1, 1: 1, 2: 1}
    assert ledger.begun() == {0: 1, 1: 2, 2: 1}
    once, again = [entry for entry in ledger.entries("begin") if entry["number"] == 1]
    assert once["key"] == again["key"]
    assert (once["attempt"], again["attempt"]) == (1, 2)
    types = [event.type for event in handle.stream()]
    assert types.count("tool_retry") == 1
    assert types.count("tool_result") == 3
    effects = handle.effects()
    assert [(each.state, each.tries, each.is_doubtful) for each in effects] == [
        ("done", 1, False),
        ("done", 2, True),
        ("done", 1, False),
    ]
    assert effects[1].key == once["key"]
    assert "died: no heartbeat" in effects[1].cut_off[0].why


@pytest.mark.parametrize("spares", [True, False], ids=["others serve", "no other serves"])
def test_a_run_goes_on_wherever_its_workers_are_killed(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, spares: bool
) -> None:
    thinking, go_on = threading.Event(), threading.Event()

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 1:
            return call("outlive", number=1, deaths=2)
        if request.turn == 3:
            thinking.set()
            go_on.wait(60)
        return call("work", number=request.turn, seconds=0.0) if request.turn < 4 else say("done")

    with ExitStack() as stack:
        killer = Killer(ledger, stack, spares=spares)
        handle = runtime.start(dataclasses.replace(ledger_agent, model=model.play(reply)), "Go.", serve=False)
        killer.after_its_poll()
        killer.in_the_tool(number=1, time=1)
        killer.in_the_tool(number=1, time=2)
        wait_until(thinking.is_set, "the model to think")
        killer.while_idle(go_on)
        result = handle.result(timeout=60)
        print("stalls", killer.stalls)

    assert result.output == "done"
    assert ledger.ended() == {0: 1, 1: 1, 2: 1, 3: 1}
    begun = [(entry["number"], entry["attempt"]) for entry in ledger.entries("begin")]
    assert begun == [(0, 2), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]
    assert len({entry["key"] for entry in ledger.entries("begin")}) == 4
    types = [event.type for event in handle.stream()]
    assert types.count("tool_retry") == 3
    assert all(stall < 30 for _, stall in killer.stalls), f"{killer.stalls}: the engine alone takes up to 120 s"


class Killer:
    """Kills the worker that is at a certain point, four times, and notes how long the run stands still.

    With spares there are always others that serve already; else the next one starts after the death.
    """

    def __init__(self, ledger: Ledger, stack: ExitStack, *, spares: bool) -> None:
        self._ledger, self._stack = ledger, stack
        self._workers: dict[int, WorkerProcess] = {}
        self.stalls: list[tuple[str, float]] = []
        for _ in range(4 if spares else 0):
            self._start().signal(signal.SIGSTOP)  # the doomed one shall get the first call
        self._doomed = self._start(FIRST_CALL="die")

    def after_its_poll(self) -> None:
        doomed = psutil.Process(self._doomed.pid)
        wait_until(lambda: is_dead(doomed), "the worker to die with the call in its hands")
        del self._workers[doomed.pid]
        for spare in self._workers.values():
            spare.signal(signal.SIGCONT)
        self._carry_on("after its poll", begun=0)

    def in_the_tool(self, *, number: int, time: int) -> None:
        wait_until(lambda: self._ledger.begun()[number] == time, f"call {number}, time {time}")
        self._carry_on("in the tool", self._kill_last())

    def while_idle(self, go_on: threading.Event) -> None:
        begun = self._kill_last()
        go_on.set()
        self._carry_on("while idle", begun)

    def _kill_last(self) -> int:
        begun = self._ledger.entries("begin")
        self._workers.pop(begun[-1]["pid"]).kill()
        return len(begun)

    def _carry_on(self, where: str, begun: int) -> None:
        if not self._workers:
            self._start()
        ready = time.time()
        wait_until(lambda: len(self._ledger.entries("begin")) > begun, f"the run to go on after a death {where}")
        self.stalls.append((where, round(self._ledger.entries("begin")[begun]["at"] - ready, 1)))

    def _start(self, **environment: str) -> WorkerProcess:
        worker = self._stack.enter_context(self._ledger.worker(**environment))
        self._workers[worker.pid] = worker
        return worker


def test_a_call_that_cannot_be_begun_costs_the_others_nothing(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    replies = [calls(*[call("work", number=number, seconds=0.0) for number in range(3)]), say("done")]
    handle = runtime.start(dataclasses.replace(ledger_agent, model=model.play(replies)), "Go.", serve=False)
    wait_until(lambda: handle.get_status().current_task == "work", "the calls to be scheduled")
    with ledger.worker(FIRST_CALL="no thread") as worker:
        assert handle.result(timeout=60).output == "done"
        assert "can't start new thread" in worker.log

    assert ledger.begun() == ledger.ended() == {0: 1, 1: 1, 2: 1}
    assert {entry["attempt"] for entry in ledger.entries("begin")} == {1}


def test_a_tool_that_holds_the_interpreter_is_not_taken_for_dead(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    replies = [calls(call("hold", number=0, seconds=12), call("work", number=1, seconds=0.0)), say("done")]
    agent = dataclasses.replace(ledger_agent, model=model.play(replies))
    with ledger.worker(), ledger.worker():
        handle = runtime.start(agent, "Go.", serve=False)
        assert handle.result(timeout=60).output == "done"

    assert ledger.begun() == ledger.ended() == {0: 1, 1: 1}


def test_the_death_of_a_worker_is_noticed_while_its_tool_holds_the_interpreter(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    agent = dataclasses.replace(ledger_agent, model=model.play([call("hold", number=0, seconds=60), say("done")]))
    with ledger.worker() as one, ledger.worker() as other:
        handle = runtime.start(agent, "Go.", serve=False)
        wait_until(lambda: ledger.begun()[0] == 1, "the call to begin")
        (first,) = ledger.entries("begin")
        wait_until(lambda: was_beaten(runtime, handle), "a heartbeat")
        next(worker for worker in (one, other) if worker.pid == first["pid"]).kill()
        death = time.time()
        assert handle.result(timeout=60).output == "done"

    _, again = ledger.entries("begin")
    print("stall", round(again["at"] - death, 1))
    assert again["attempt"] == 2
    assert again["at"] - death < 30
    assert ledger.ended() == {0: 1}


def was_beaten(runtime: AgentRuntime, handle: AgentHandle) -> bool:
    run = runtime.client.workflow(handle.execution_id)
    segment = runtime.client.workflow(run.tasks[-1].sub_workflow_id or "")
    return segment.tasks[-1].update_time > segment.tasks[-1].start_time + 1000


def test_the_death_of_the_lease_process_is_survived(runtime: AgentRuntime, model: Stage, ledger: Ledger) -> None:
    replies = [call("work", number=0, seconds=9), say("done")]
    handle = runtime.start(dataclasses.replace(ledger_agent, model=model.play(replies)), "Go.", serve=False)
    with ledger.worker() as worker:
        wait_until(lambda: ledger.begun()[0] == 1, "the call to begin")
        (leases,) = psutil.Process(worker.pid).children()
        with ledger.worker():
            leases.kill()
            assert handle.result(timeout=60).output == "done"
        (another,) = psutil.Process(worker.pid).children()

    assert ledger.begun() == ledger.ended() == {0: 1}
    wait_until(lambda: is_dead(another), "the lease process to end with its worker")


def test_the_lease_process_is_there_before_a_call(runtime: AgentRuntime, ledger: Ledger) -> None:
    """One that began with the first call was up after the lease of that on a machine that was busy enough."""
    with ledger.worker() as worker:
        wait_until(lambda: psutil.Process(worker.pid).children(), "the lease process")


def test_a_proxy_that_is_away_does_not_keep_heartbeats_from_this_machine(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    replies = [call("work", number=0, seconds=7), say("done")]
    agent = dataclasses.replace(ledger_agent, model=model.play(replies))
    with socket.socket() as nobody:  # it has the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with ledger.worker(HTTP_PROXY=away, HTTPS_PROXY=away, ALL_PROXY=away, NO_PROXY="", http_proxy=away):
            handle = runtime.start(agent, "Go.", serve=False)
            wait_until(lambda: ledger.begun()[0] == 1, "the call to begin")
            wait_until(lambda: was_beaten(runtime, handle), "a heartbeat")
            assert ledger.ended() == {}, "that was no heartbeat, but the report"
            assert handle.result(timeout=60).output == "done"

    assert ledger.begun() == ledger.ended() == {0: 1}


def is_dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
