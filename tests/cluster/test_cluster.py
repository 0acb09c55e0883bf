"""Two nodes of the stock server on one PostgreSQL: the contract holds, and the death of a node loses nothing."""

from __future__ import annotations

import dataclasses
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, Approval, Event, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage
from tests.cli.test_cli_agent import (
    test_the_beginning_of_an_id_is_enough,
)
from tests.cli.test_cli_operate import (
    test_a_prune_that_was_interrupted_is_finished_by_the_next,
    test_pages_of_a_list,
    test_prune_deletes_ended_runs_with_their_segments,
    test_runs_by_status_and_age,
)
from tests.contract.test_contract import (
    test_an_agent_with_tools_goes_on_in_a_new_process,
    test_an_agent_without_tools_is_rejoined_by_its_id_alone,
    test_ensure_running_starts_no_duplicate,
    test_ensure_running_starts_no_duplicate_of_a_run_in_any_state,
    test_fire_and_forget,
    test_status_on_the_command_line,
    test_the_event_loop,
    test_worker_and_invoker_are_two_processes,
)
from tests.crash.conftest import Ledger
from tests.crash.ledger_agent import agent as ledger_agent
from tests.crash.test_graceful import (
    test_drain_says_how_long_running_calls_may_take,
    test_sigterm_lets_the_running_call_finish,
    test_what_is_not_done_in_time_is_handed_back_and_taken_at_once,
)
from tests.crash.test_killed_worker import (
    test_a_call_that_cannot_be_begun_costs_the_others_nothing,
    test_a_call_whose_worker_dies_runs_again_in_another_with_the_same_key,
    test_a_run_goes_on_wherever_its_workers_are_killed,
)

from .cluster import Cluster

# Those of the other suites that show whether the server is what they know.
__all__ = [
    "test_a_call_that_cannot_be_begun_costs_the_others_nothing",
    "test_a_call_whose_worker_dies_runs_again_in_another_with_the_same_key",
    "test_a_prune_that_was_interrupted_is_finished_by_the_next",
    "test_a_run_goes_on_wherever_its_workers_are_killed",
    "test_an_agent_with_tools_goes_on_in_a_new_process",
    "test_an_agent_without_tools_is_rejoined_by_its_id_alone",
    "test_drain_says_how_long_running_calls_may_take",
    "test_ensure_running_starts_no_duplicate",
    "test_ensure_running_starts_no_duplicate_of_a_run_in_any_state",
    "test_fire_and_forget",
    "test_pages_of_a_list",
    "test_prune_deletes_ended_runs_with_their_segments",
    "test_runs_by_status_and_age",
    "test_sigterm_lets_the_running_call_finish",
    "test_status_on_the_command_line",
    "test_the_beginning_of_an_id_is_enough",
    "test_the_event_loop",
    "test_what_is_not_done_in_time_is_handed_back_and_taken_at_once",
    "test_worker_and_invoker_are_two_processes",
]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MOST = 60
"""Seconds a run may stand still after the death of a node; the engine alone needs up to 122."""


@pytest.fixture(autouse=True)
def _whole(cluster: Cluster) -> None:
    """Each test begins with both nodes."""
    cluster.mend()


def pieces(count: int, thinking: float) -> object:
    """A script: `count` calls one after the other, each answer after `thinking` seconds."""

    def reply(request: ModelRequest) -> Reply:
        step = call("work", number=request.turn, seconds=0.2) if request.turn < count else say("done")
        return step.after(thinking)

    return reply


def longest_gap(moments: list[float], since: float) -> float:
    """The longest time without any, from `since` on."""
    later = [since, *sorted(moment for moment in moments if moment > since)]
    return max((after - before for before, after in itertools.pairwise(later)), default=0.0)


def test_both_nodes_serve_the_same_runs(cluster: Cluster, model: Stage) -> None:
    first, second = (AgentRuntime(node.url) for node in cluster.nodes)
    handle = first.start(Agent("shared", model=model.play([say("done")])), "Go.")

    assert AgentHandle(handle.execution_id, second).result(timeout=60).output == "done"
    assert list(handle.stream()) == list(AgentHandle(handle.execution_id, second).stream())


def test_one_run_for_a_key_though_both_nodes_are_asked_at_once(cluster: Cluster, model: Stage) -> None:
    name = model.play([say("done")])
    agent = Agent("once_in_a_cluster", model=name)
    runtimes = [AgentRuntime(cluster.nodes[number % 2].url) for number in range(12)]
    for runtime in runtimes[:2]:
        runtime.register(agent)
    ready = threading.Barrier(len(runtimes))

    def start(runtime: AgentRuntime) -> str:
        ready.wait()
        return runtime.start(agent, "Go.", idempotency_key="order 17").execution_id

    with ThreadPoolExecutor(len(runtimes)) as pool:
        ids = set(pool.map(start, runtimes))

    assert len(ids) == 1
    assert AgentHandle(ids.pop(), runtimes[0]).result(timeout=60).output == "done"
    assert len(model.requests(name)) == 1, "the model was called for one run only"


def test_a_person_decides_through_one_node_while_the_other_is_dead(cluster: Cluster, model: Stage) -> None:
    paid: list[int] = []

    @tool(approval=Approval(deadline=3600))
    def pay(amount: int) -> int:
        """Pay."""
        paid.append(amount)
        return amount

    first, second = cluster.nodes
    turn = calls(call("pay", amount=1), call("pay", amount=2))
    agent = Agent("cluster_purse", model=model.play([turn, say("done")]), tools=[pay])
    with AgentRuntime(f"{first.url},{second.url}") as runtime:
        handle = runtime.start(agent, "Go.")
        wait_until(lambda: len(runtime.requests(agent="cluster_purse")) == 2, "both requests")
        one, other = handle.requests()
        runtime.approve(one.id, by="ann")
        first.kill()
        AgentRuntime(second.url).reject(other.id, "no", by="bob")

        assert handle.result(timeout=120).output == "done"
        assert [event.by for event in handle.stream() if event.type == "decision"] == ["ann", "bob"]
    assert paid == [1]


def test_a_run_survives_the_death_of_either_node(cluster: Cluster, model: Stage, ledger: Ledger) -> None:
    """Worker and reader begin on different nodes; each has to go to the other one."""
    over = threading.Event()

    def reply(request: ModelRequest) -> Reply:
        return (say("done") if over.is_set() else call("work", number=request.turn, seconds=0.2)).after(0.3)

    agent = dataclasses.replace(ledger_agent, model=model.play(reply))
    first, second = cluster.nodes
    reader = AgentRuntime(f"{second.url},{first.url}")
    seen: list[Event] = []
    stalls = []
    with ledger.worker() as worker:
        handle = reader.start(agent, "Go.", serve=False)
        following = threading.Thread(target=lambda: seen.extend(handle.stream()), daemon=True)
        following.start()
        for victim, other in ((first, second), (second, first)):
            move(ledger, "the run to go on with both nodes", calls=3)
            victim.kill()
            stalls.append(move(ledger, "the run to move without a node"))
            assert step_shown(cluster.url, handle.execution_id) > 3, (
                "a process that begins now finds the node that lives"
            )
            if other is second:
                victim.start()
        over.set()
        result = handle.result(timeout=180)
        following.join(60)
        print("stalls after the death of a node", stalls, worker.log[-500:])

    assert result.output == "done"
    assert dict(ledger.ended()) == dict.fromkeys(range(result.steps - 1), 1), "nothing is lost, nothing is repeated"
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen == list(handle.stream()), "a reader that lived through it saw what a late one sees"
    assert max(stalls) < MOST, f"{stalls}: the engine alone needs up to 122 s"


def move(ledger: Ledger, what: str, calls: int = 1) -> float:
    """Wait until so many more calls have begun; the seconds that took."""
    since, before = time.time(), len(ledger.entries("begin"))
    wait_until(lambda: len(ledger.entries("begin")) >= before + calls, what, 180)
    return round(ledger.entries("begin")[before + calls - 1]["at"] - since, 1)


def step_shown(server_url: str, execution_id: str) -> int:
    """The step that `agentspan agent status` shows in a process of its own."""
    command = [sys.executable, "-m", "agentspan", "--server", server_url, "agent", "status", execution_id]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return int(shown.split("step ")[1].split(" /")[0])


def test_a_call_keeps_its_lease_when_the_node_dies(cluster: Cluster, model: Stage, ledger: Ledger) -> None:
    agent = dataclasses.replace(ledger_agent, model=model.play([call("work", number=1, seconds=12.0), say("done")]))
    with ledger.worker(), ledger.worker():
        handle = AgentRuntime(cluster.url).start(agent, "Go.", serve=False)
        wait_until(lambda: ledger.begun()[1] == 1, "the call to begin")
        cluster.nodes[0].kill()
        assert handle.result(timeout=120).output == "done"

    assert ledger.begun() == ledger.ended() == {1: 1}, "the other worker was not given it, too"


def test_a_call_runs_once_though_a_node_hangs(cluster: Cluster, model: Stage, ledger: Ledger) -> None:
    """Its connections stay open, and nobody answers: the heartbeats and the report have to go to the other node."""
    replies = [call("work", number=1, seconds=9.0), call("work", number=2, seconds=0.0), say("done")]
    agent = dataclasses.replace(ledger_agent, model=model.play(replies))
    first, second = cluster.nodes
    heir = dataclasses.replace(ledger, url=second.url)
    with ledger.worker():
        handle = AgentRuntime(second.url).start(agent, "Go.", serve=False)
        wait_until(lambda: ledger.begun()[1] == 1, "the call to begin")
        first.signal(signal.SIGSTOP)
        stopped = time.time()
        try:
            with heir.worker():
                assert handle.result(timeout=120).output == "done"
        finally:
            first.signal(signal.SIGCONT)
        print("from the stop of the node to the end of the run", round(time.time() - stopped, 1))

    assert ledger.begun() == ledger.ended() == {1: 1, 2: 1}, "the other worker was not given it, too"


def test_model_calls_of_a_dead_node_are_made_again(cluster: Cluster, model: Stage, ledger: Ledger) -> None:
    """Many runs at once, so that both nodes are in the middle of model calls when one of them dies."""
    steps, runs = 4, 8
    agent = dataclasses.replace(ledger_agent, model=model.play(pieces(steps, thinking=2.0)))
    runtime = AgentRuntime(cluster.url)
    with ledger.worker(), ThreadPoolExecutor(runs) as pool:
        handles = [runtime.start(agent, "Go.", serve=False) for _ in range(runs)]
        results = [pool.submit(handle.result, timeout=300) for handle in handles]
        wait_until(lambda: len(ledger.entries("end")) > runs, "the runs to be in the middle", 180)
        cluster.nodes[0].kill()
        killed = time.time()
        outputs = [result.result().output for result in results]

    keys = Counter(entry["key"] for entry in ledger.entries("end"))
    gaps = []
    for handle in handles:
        of_run = [entry["at"] for entry in ledger.entries("end") if entry["key"].startswith(handle.execution_id)]
        gaps.append(round(longest_gap(of_run, killed), 1))
    print("longest gaps of the runs after the death of a node", gaps, len(model.requests(agent.model)), "model calls")

    assert outputs == ["done"] * runs
    assert len(keys) == runs * steps, "no call is lost"
    assert set(keys.values()) == {1}, "none that ended is repeated"
    assert max(gaps) < MOST, f"{gaps}: the engine alone needs up to 122 s"
