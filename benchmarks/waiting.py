"""What runs that wait for people cost an idle server, and the worker that serves them.

    uv run --project benchmarks python -m benchmarks.waiting [--runs 1000] [--seconds 30]

Both are left alone; what they use of a core is measured before there are any runs, and while all of them wait.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from agentspan.agents import Agent, AgentRuntime, tool
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, say
from benchmarks.server import Setup, running

SETTLED = 100
"""Seconds until nobody looks often any more at what has just begun to wait."""


@tool(approval=True)
def pay(amount: int) -> int:
    """Pay."""
    return amount


def reply(request: ModelRequest) -> Reply:
    return say("done") if request.turn else call("pay", amount=1)


def used(process: psutil.Process, seconds: float) -> float:
    """Of a core, in percent."""
    process.cpu_percent()
    time.sleep(seconds)
    return process.cpu_percent()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.waiting", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    os.environ["AGENTSPAN_PROGRESS"] = "0"
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with ScriptedModel(reply, keep=1) as model, running(Setup("embedded"), model.model_urls) as server:
        os.environ["OPENAI_BASE_URL"] = model.openai_url
        agent = Agent("purse", model="openai/none", tools=[pay], model_place="worker")
        with AgentRuntime(server.url) as runtime:
            processes = [psutil.Process(server.pid), psutil.Process()]
            runtime.serve(agent, blocking=False)
            before = [used(each, options.seconds) for each in processes]
            begun = time.monotonic()
            with ThreadPoolExecutor(8) as pool:
                handles = list(pool.map(lambda _: runtime.start(agent, "Pay."), range(options.runs)))
            while len(runtime.requests(agent="purse")) < options.runs:
                time.sleep(1)
            took = time.monotonic() - begun
            time.sleep(SETTLED)
            during = [used(each, options.seconds) for each in processes]
            decided = time.monotonic()
            handles[0].approve()
            handles[0].result(timeout=60)
            decided = time.monotonic() - decided
    print(f"| | without runs | with {options.runs:,} that wait |")
    print("|---|---:|---:|")
    for name, one, other in zip(("server", "worker"), before, during, strict=True):
        print(f"| {name}, of a core | {one:.1f} % | {other:.1f} % |")
    print(f"\nAll waited after {took:.0f} s; one was decided and over in {decided * 1000:.0f} ms.")


if __name__ == "__main__":
    main()
