"""Runs as most are: short, with many calls in a step, many at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from benchmarks.contestants import PLAIN, WORKER, AgentSpec, Contestant, Name
from benchmarks.lab import Benchmark, Lab, Sample, per_step
from benchmarks.model import Asked
from benchmarks.plan import Plan
from benchmarks.report import Row, Target


class Steps(Benchmark):
    """Short runs, as most are."""

    name = "steps"
    summary = "Overhead per step: from one request to the model over a tool call to the next one, the mean of a run."

    @property
    def sizes(self) -> tuple[int, int]:
        return (20, 40) if self.quick else (20, 100)

    @property
    def rows(self) -> list[Row]:
        targets = (Target(50), Target(1.5, "floor"))
        return [Row(f"step-{size}", f"a step of {size}", "ms", targets) for size in self.sizes]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(WORKER)
            lab.run(contestant, WORKER, Plan(steps=4), limit=120)  # once through everything
            for size in self.sizes:
                yield f"step-{size}", per_step(lab.run(contestant, WORKER, Plan(steps=size), limit=30 + 3 * size))


class FanOut(Benchmark):
    """Many calls in one step."""

    name = "fan-out"
    summary = "Parallel calls of a tool that takes 0.2 s: from the model's answer to the next request."
    contestants = ("agentspan", "peer")

    @property
    def rows(self) -> list[Row]:
        return [
            Row("calls-32", "32 calls", "s", (Target(0.6),)),
            Row("calls-200", "200 calls", "s", (Target(2),)),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(WORKER)
            for width in (32, 200):
                plan = Plan(steps=1 if self.quick or name == "peer" else 3, parallel=width, seconds=0.2)
                asked = lab.run(contestant, WORKER, plan, limit=60 + 1.5 * width)
                yield f"calls-{width}", median(after.at - before.answered for before, after in pairwise(asked))


class Throughput(Benchmark):
    """Many runs at once."""

    name = "throughput"
    summary = "Many runs at once, all started by one process, whose worker serves them."
    contestants = ("agentspan", "peer")
    runs, steps = 20, 10

    @property
    def rows(self) -> list[Row]:
        title = f"{self.runs} runs of {self.steps} steps"
        return [Row("throughput", title, "steps/s", (Target(10, "peer"),), better="higher")]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(WORKER)
            lab.run(contestant, WORKER, Plan(steps=2), limit=120)
            plans = [Plan(steps=self.steps) for _ in range(self.runs)]
            begun = time.monotonic()
            ended = _run_many(lab, contestant, WORKER, plans, limit=180)
            yield "throughput", self.runs * self.steps / (ended - begun)


class SlowModels(Benchmark):
    """Model calls must not wait for each other."""

    name = "slow-models"
    summary = "Runs of an agent without tools, started at once, whose model takes 1 s."
    contestants = ("agentspan", "peer")

    @property
    def runs(self) -> int:
        return 50 if self.quick else 200

    @property
    def rows(self) -> list[Row]:
        # Four at a time, as a stock server on two cores does, would take a quarter as many seconds as there are runs.
        return [
            Row(
                "slow-models",
                f"{self.runs} runs, from the first start to the last answer",
                "s",
                (Target(self.runs / 20),),
            ),
            Row("at-once", "model calls at once, at most", "", better="higher"),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(PLAIN)
            lab.run(contestant, PLAIN, Plan(), limit=120)
            plans = [Plan(model_seconds=1) for _ in range(self.runs)]
            begun = time.monotonic()
            ended = _run_many(lab, contestant, PLAIN, plans, limit=180)
            yield "slow-models", ended - begun
            yield "at-once", _at_once([entry for plan in plans for entry in lab.model.requests(plan.run)])


def _run_many(lab: Lab, contestant: Contestant, agent: AgentSpec, plans: list[Plan], limit: float) -> float:
    """Start runs at once; when the model gave its last answer to the last of them."""
    deadline = time.monotonic() + limit
    prompts = [plan.prompt() for plan in plans]
    contestant.started += contestant.do("start_many", limit=limit, agent=vars(agent), prompts=prompts).value
    ends = [lab.model.wait_for(plan, plan.steps + 1, max(0.0, deadline - time.monotonic()))[-1] for plan in plans]
    return max(end.answered for end in ends)


def _at_once(asked: list[Asked]) -> int:
    return max(sum(other.at <= entry.at < other.answered for other in asked) for entry in asked)
