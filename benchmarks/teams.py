"""What it costs that agents work as a team, beside what they cost alone.

    uv run --project benchmarks python -m benchmarks.teams [--rounds 5]

Members are agents without tools whose model answers at once; alternating in one run, the medians are told.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

from agentspan.agents import Agent, AgentRuntime, Team
from agentspan.testing import ModelRequest, Reply, ScriptedModel, say
from benchmarks.server import Setup, running

TOGETHER = 10


def reply(request: ModelRequest) -> Reply:
    return say("done")


def timed(do: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.monotonic()
    do()
    return (time.monotonic() - begun) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.teams", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ["AGENTSPAN_PROGRESS"] = "0"
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with ScriptedModel(reply, keep=1) as model, running(Setup("embedded"), model.model_urls) as server:
        os.environ["OPENAI_BASE_URL"] = model.openai_url
        agents = [Agent(f"member_{number}", model="openai/none", model_place="worker") for number in range(TOGETHER)]
        three = Team("three", agents[:3])
        ten = Team("ten", agents, strategy="parallel")
        took: dict[str, list[float]] = {name: [] for name in ("one", "three alone", "three", "ten")}
        with AgentRuntime(server.url) as runtime:
            for each in (*agents, three, ten):
                runtime.run(each, "Go.", timeout=60)  # what is done once is not counted
            for _ in range(rounds):
                took["one"].append(timed(lambda: runtime.run(agents[0], "Go.", timeout=60)))
                took["three alone"].append(timed(lambda: [runtime.run(each, "Go.", timeout=60) for each in agents[:3]]))
                took["three"].append(timed(lambda: runtime.run(three, "Go.", timeout=60)))
                took["ten"].append(timed(lambda: runtime.run(ten, "Go.", timeout=60)))
    found = {name: median(values) for name, values in took.items()}
    print("| | ms | more |")
    print("|---|---:|---:|")
    print(f"| one agent | {found['one']:.0f} | |")
    print(f"| three agents, one after the other | {found['three alone']:.0f} | |")
    print(f"| a team of the three | {found['three']:.0f} | {found['three'] - found['three alone']:+.0f} |")
    print(f"| ten beside each other | {found['ten']:.0f} | {found['ten'] - found['one']:+.0f} |")


if __name__ == "__main__":
    main()
