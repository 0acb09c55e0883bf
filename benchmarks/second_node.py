"""What a second node of a Conductor cluster gives: the same runs on one node and on two, in turn.

    uv run python -m benchmarks.second_node [--rounds 3]

Both share one PostgreSQL and the cores of this machine: on a small one it shows what a node costs, not what it gives.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import median

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.server._providers import model_settings
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say
from tests.cluster.cluster import cluster

RUNS, STEPS, WARM_UP = 20, 10, 40


@tool
def work(number: int) -> int:
    """Do a piece of work."""
    return number


def reply(request: ModelRequest) -> Reply:
    wanted = int(request.messages[0].text)
    return call("work", number=request.turn) if request.turn < wanted else say("done")


AGENT = Agent("second_node", model="openai/scripted", tools=[work], max_turns=1000)


def measured(url: str) -> tuple[float, float]:
    """Steps per second of many runs at once, and milliseconds per step of a single one."""
    with AgentRuntime(url) as runtime:
        runtime.run(AGENT, str(WARM_UP), timeout=300)
        begun = time.monotonic()
        runtime.run(AGENT, str(STEPS), timeout=300)
        single = time.monotonic() - begun
        begun = time.monotonic()
        handles: list[AgentHandle] = [runtime.start(AGENT, str(STEPS)) for _ in range(RUNS)]
        for handle in handles:
            handle.result(timeout=300)
        return RUNS * STEPS / (time.monotonic() - begun), 1000 * single / STEPS


def samples(model: ScriptedModel, rounds: int) -> Iterator[tuple[int, float, float]]:
    for _ in range(rounds):
        for nodes in (1, 2):
            with cluster(model_settings({}, model.model_urls), nodes) as started:
                yield (nodes, *measured(started.url))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.second_node", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with ScriptedModel(reply) as model:
        found = list(samples(model, rounds))
    one, two = ([sample for sample in found if sample[0] == nodes] for nodes in (1, 2))
    print(f"| {rounds} rounds | one node | two nodes | ratio |\n|---|---:|---:|---:|")
    for column, what in ((1, f"{RUNS} runs of {STEPS} steps, steps/s"), (2, "a single run, ms a step")):
        before, after = (median(sample[column] for sample in group) for group in (one, two))
        print(f"| {what} | {before:.1f} | {after:.1f} | {after / before:.2f} |")


if __name__ == "__main__":
    main()
