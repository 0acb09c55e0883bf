"""A long run whose model a worker calls: is a step as quick at its end, what is stored, what do readers need.

    uv run --project benchmarks python -m benchmarks.thin [--steps 1000] [--kilobytes 0.2]

The model answers at once, and each call's result has that many kilobytes.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import pairwise
from statistics import median

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ContextBudget, ModelSettings, tool
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say
from benchmarks.server import Server, Setup, running

WINDOW = 50
"""Steps whose median is told."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.thin", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--kilobytes", type=float, default=0.2)
    options = parser.parse_args()
    os.environ["AGENTSPAN_PROGRESS"] = "0"
    asked: list[float] = []
    sizes: list[int] = []

    @tool
    def work(number: int) -> str:
        """Do a piece of work."""
        return f"{number} " + "x" * int(options.kilobytes * 1024)

    def reply(request: ModelRequest) -> Reply:
        asked.append(time.monotonic())
        sizes.append(request.tokens * 4)
        return call("work", number=len(asked)) if len(asked) <= options.steps else say("done")

    with ScriptedModel(reply, keep=1) as model, running(Setup("embedded"), model.model_urls) as server:
        settings = ModelSettings(base_url=model.openai_url)
        agent = Agent(
            "thin",
            model="openai/scripted",
            tools=[work],
            max_turns=10_000,
            model_place="worker",
            model_settings=settings,
            context=ContextBudget(max_chars=400_000),
        )
        with AgentRuntime(server.url) as runtime:
            before = server.usage()
            handle = runtime.start(agent, "Go.")
            handle.result(timeout=120 + options.steps)
            after = server.usage()
            steps = [1000 * (later - earlier) for earlier, later in pairwise(asked)]
            first, last = median(steps[WINDOW : 2 * WINDOW]), median(steps[-WINDOW:])
            print(f"a step of {WINDOW} to {2 * WINDOW}: {first:.0f} ms; of the last {WINDOW}: {last:.0f} ms")
            print(f"the largest request: {max(sizes) / 1024:.0f} KB")
            print(f"stored a step: {(after.disk - before.disk) / options.steps / 1024:.1f} KB")
            print(f"the server's memory: {before.memory / 2**20:.0f} MB, then {after.memory / 2**20:.0f} MB")
        print(f"all events, read by a new process: {_read(server, handle.execution_id):.1f} s")


def _read(server: Server, execution_id: str) -> float:
    begun = time.monotonic()
    list(AgentHandle(execution_id, AgentRuntime(server.url)).stream())
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
