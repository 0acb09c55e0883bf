"""A step with the model called by the server and by a worker: the same runs, in turn, on one server.

    uv run --project benchmarks python -m benchmarks.places [--steps 20 100 500] [--rounds 3]

The model answers at once; what is left is the framework's own time, and what a step leaves in the database.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from agentspan.agents import Agent, AgentRuntime, ModelSettings, tool
from agentspan.declare.agent import Place
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say
from benchmarks.server import Setup, running

PLACES: tuple[Place, ...] = ("server", "worker")
WARM_UP = 60


@tool
def work(number: int) -> str:
    """Do a piece of work."""
    return f"{number} " + "x" * 200


def reply(request: ModelRequest) -> Reply:
    # The budget leaves the first messages where they are: the prompt says how many steps there are.
    done = len([turn for turn in request.messages if turn.role == "assistant"])
    return call("work", number=done) if done < int(request.messages[0].text) else say("done")


def agent(place: Place, base_url: str) -> Agent:
    settings = ModelSettings(base_url=base_url) if place == "worker" else ModelSettings()
    name = f"in_{place}"
    return Agent(
        name, model="openai/scripted", tools=[work], max_turns=10_000, model_place=place, model_settings=settings
    )


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.db*"))


def measured(runtime: AgentRuntime, which: Agent, steps: int, folder: Path) -> tuple[float, float]:
    """Milliseconds and kilobytes of a step."""
    before, begun = size_of(folder), time.monotonic()
    runtime.run(which, str(steps), timeout=60 + steps)
    seconds = time.monotonic() - begun
    return 1000 * seconds / steps, (size_of(folder) - before) / steps / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.places", description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[tuple[int, Place], list[tuple[float, float]]] = defaultdict(list)
    os.environ["AGENTSPAN_PROGRESS"] = "0"
    with (
        ScriptedModel(reply, keep=1) as model,
        running(Setup("embedded"), model.model_urls) as server,
        AgentRuntime(server.url) as runtime,
    ):
        agents = {place: agent(place, model.openai_url) for place in PLACES}
        for place in PLACES:
            runtime.run(agents[place], str(WARM_UP), timeout=300)
        for number in range(arguments.rounds):
            for steps in arguments.steps:
                for place in PLACES if number % 2 == 0 else PLACES[::-1]:
                    found[steps, place].append(measured(runtime, agents[place], steps, server.folder))
    print("| a run of | server, ms a step | worker, ms a step | ratio | server, KB a step | worker, KB a step |")
    print("|---|---:|---:|---:|---:|---:|")
    for steps in arguments.steps:
        ours, thin = ([median(column) for column in zip(*found[steps, place], strict=True)] for place in PLACES)
        ratio = thin[0] / ours[0]
        print(f"| {steps} steps | {ours[0]:.1f} | {thin[0]:.1f} | {ratio:.2f} | {ours[1]:.0f} | {thin[1]:.0f} |")


if __name__ == "__main__":
    main()
