"""What the model is shown: much of it, and again and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from statistics import mean
from typing import Any

from benchmarks.contestants import AgentSpec, Name
from benchmarks.lab import Benchmark, Lab, Sample, per_step
from benchmarks.plan import Plan
from benchmarks.report import Row, Target

KB = 1000.0


class Large(Benchmark):
    """Requests of some 170 KB."""

    name = "large"
    summary = (
        "Large contexts: results of 4 KB, of which the model is shown about 40. The floor sends a prompt of that "
        "length. The peer keeps everything."
    )
    most = 2
    agent = AgentSpec(name="large", max_chars=230_000)
    padding = 170_000
    full = 56
    """The step by which the transcript was trimmed for the first time."""

    @property
    def steps(self) -> dict[str, int]:
        quick = {"agentspan": 120, "peer": 60, "floor": 24}
        return quick if self.quick else {"agentspan": 1000, "peer": 100, "floor": 200}

    @property
    def rows(self) -> list[Row]:
        return [
            Row("large-step", f"a step, mean of {self.steps['agentspan']}", "ms", (Target(120),)),
            Row("large-storage", "stored per step ÷ size of the request", "", (Target(3),)),
            Row("large-request", "mean size of the requests", "KB"),
            Row("large-model", "the scripted model's own time over such a request", "ms"),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        steps = self.steps[name]
        first = 1 if name == "floor" else min(self.full, steps // 2)
        plan = Plan(steps=steps, size=20 if name == "floor" else 4096)
        prompt = plan.prompt() + "." * (self.padding if name == "floor" else 0)
        with lab.contestant(name) as contestant:
            contestant.serve(self.agent)
            contestant.start(self.agent, prompt)
            lab.model.wait_for(plan, first, limit=60 + 3 * first)
            before = lab.server.usage()
            asked = lab.model.wait_for(plan, steps + 1, limit=60 + 2 * steps)
            size = mean(entry.size for entry in asked if entry.step >= first)
            yield "large-step", per_step(asked, first)
            yield "large-storage", (lab.server.usage().disk - before.disk) / (steps + 1 - first) / size
            yield "large-request", size / KB
            yield "large-model", 1000 * lab.model.own_seconds(int(size))


class Prefix(Benchmark):
    """Providers answer faster and charge less for the beginning that a request shares with the one before it."""

    name = "prefix"
    summary = (
        "How much of a request the provider has just seen: results of 1 KB, agentspan's transcript kept within 40,000 "
        "characters. Nothing here depends on time."
    )
    contestants = ("agentspan", "peer")
    most = 1
    agent = AgentSpec(name="prefix", max_chars=40_000)

    @property
    def steps(self) -> dict[str, int]:
        return {"agentspan": 80, "peer": 12} if self.quick else {"agentspan": 300, "peer": 60}

    @property
    def rows(self) -> list[Row]:
        return [
            Row("prefix", "of a request, shared with the beginning of the one before, mean", "%", better="higher"),
            Row("prefix-kept", "of the request before, repeated, mean", "%", better="higher"),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(self.agent)
            plan = Plan(steps=self.steps[name], size=1000, keep=True)
            asked = lab.run(contestant, self.agent, plan, limit=60 + 3 * plan.steps)
        texts = [_text(entry.body or {}) for entry in asked]
        shared = [(_common(*pair), *pair) for pair in pairwise(texts)]
        yield "prefix", 100 * mean(common / len(after) for common, _, after in shared)
        yield "prefix-kept", 100 * mean(common / len(before) for common, before, _ in shared)


def _common(before: str, after: str) -> int:
    """How many characters two texts begin with alike."""
    differing = (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
    return next(differing, min(len(before), len(after)))


def _text(body: dict[str, Any]) -> str:
    """A request in the order in which a model reads it."""
    return json.dumps([body.get("tools"), body.get("instructions"), body.get("input")])
