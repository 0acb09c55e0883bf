"""Agents that work together, and a guardrail that asks for another answer."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contestants import Name
from benchmarks.lab import Benchmark, Lab, Sample
from benchmarks.plan import TOGETHER, Plan, Together
from benchmarks.report import Row

TITLES: dict[Together, str] = {
    "sequence": "three agents in sequence",
    "parallel": "ten agents beside each other",
    "swarm": "three agents that hand over six times",
    "guardrail": "a guardrail that refuses the first answer",
}


class Teams(Benchmark):
    """What it costs to work together: agents without tools, whose model answers at once."""

    name = "teams"
    summary = "From the call of run() to its answer, requests to the model, and what the server stores of it."
    contestants = ("agentspan", "peer")

    @property
    def rows(self) -> list[Row]:
        return [
            row
            for together, title in TITLES.items()
            for row in (
                Row(f"{together}-time", title, "ms"),
                Row(f"{together}-asked", "… requests to the model", ""),
                Row(f"{together}-stored", "… stored", "KB"),
            )
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            for together in TOGETHER:
                for plan in (Plan(together=together), Plan(together=together)):  # what is done once is not counted
                    given = {"together": together, "prompt": plan.prompt(), "model_url": lab.model.urls["openai"]}
                    answer = contestant.do("work_together", **given)
                yield f"{together}-time", 1000 * answer.seconds
                yield f"{together}-asked", lab.model.asked(plan)
                yield f"{together}-stored", lab.server.stored_size_with_parts(answer.value) / 1024
