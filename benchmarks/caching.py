"""How much of what a long run sends comes from Anthropic's cache, and what that saves.

    uv run --project benchmarks python -m benchmarks.caching [--steps 200]

The scripted model counts by Anthropic's rules; the prices are those of claude-sonnet-4-5.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from agentspan.agents import Agent, AgentRuntime, ModelSettings, Price, tool
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say

PRICE = Price(input=3, output=15, cached=0.30, cache_write=3.75)
MODEL = "anthropic/claude-sonnet-4-5"
INSTRUCTIONS = "You look after a warehouse. Check each shelf and write down what is missing. " * 20


@tool
def check(shelf: int) -> str:
    """Look at a shelf."""
    return f"Shelf {shelf}: " + "three boxes of screws, two of nails, one of hooks; " * 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.caching", description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    os.environ["AGENTSPAN_PROGRESS"] = "0"
    os.environ.setdefault("ANTHROPIC_API_KEY", "none")

    def reply(request: ModelRequest) -> Reply:
        done = sum(turn.role == "assistant" for turn in request.messages)
        return call("check", shelf=done) if done < steps else say("done")

    with tempfile.TemporaryDirectory() as folder, ScriptedModel(reply, keep=1) as model:
        server = LocalServer(Path(folder), port=0)
        server.start(wait=120)
        try:
            settings = ModelSettings(base_url=model.anthropic_url, prices={MODEL: PRICE})
            agent = Agent(
                "warehouse",
                model=MODEL,
                tools=[check],
                instructions=INSTRUCTIONS,
                max_turns=steps + 1,
                model_place="worker",
                model_settings=settings,
            )
            with AgentRuntime(server.url) as runtime:
                usage = runtime.run(agent, "Go.", timeout=60 + steps).usage
        finally:
            server.stop()
    without = (usage.prompt_tokens * PRICE.input + usage.completion_tokens * PRICE.output) / 1_000_000
    share = (usage.cached_tokens or 0) / usage.prompt_tokens
    print("| steps | tokens sent | from the cache | with the cache | without |")
    print("|---:|---:|---:|---:|---:|")
    print(f"| {steps} | {usage.prompt_tokens:,} | {share:.1%} | ${usage.cost or 0:.2f} | ${without:.2f} |")


if __name__ == "__main__":
    main()
