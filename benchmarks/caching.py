"""How much of what a long run sends comes from Anthropic's cache, and what that saves.

    uv run --project benchmarks python -m benchmarks.caching [--steps 200]

The scripted model counts by Anthropic's rules; the prices are those of claude-sonnet-4-5.
"""

from __future__ import annotations

import argparse
import os

from agentspan.agents import Agent, AgentRuntime, ModelSettings, Price, tool
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say
from benchmarks.server import Setup, running

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

    with ScriptedModel(reply, keep=1) as model, running(Setup("embedded"), model.model_urls) as server:
        agent = Agent(
            "warehouse",
            model=MODEL,
            tools=[check],
            instructions=INSTRUCTIONS,
            max_turns=steps + 1,
            model_place="worker",
            model_settings=ModelSettings(base_url=model.anthropic_url, prices={MODEL: PRICE}),
        )
        with AgentRuntime(server.url) as runtime:
            usage = runtime.run(agent, "Go.", timeout=60 + steps).usage
    without = (usage.prompt_tokens * PRICE.input + usage.completion_tokens * PRICE.output) / 1_000_000
    share = (usage.cached_tokens or 0) / usage.prompt_tokens
    print("| steps | tokens sent | from the cache | with the cache | without |")
    print("|---:|---:|---:|---:|---:|")
    print(f"| {steps} | {usage.prompt_tokens:,} | {share:.1%} | ${usage.cost or 0:.2f} | ${without:.2f} |")


if __name__ == "__main__":
    main()
