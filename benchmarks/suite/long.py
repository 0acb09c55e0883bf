"""A run of three thousand steps, and its readers."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.contestants import AgentSpec, Contestant, Name
from benchmarks.lab import Benchmark, Lab, Sample, median_step
from benchmarks.model import Asked, Unfinished
from benchmarks.plan import Plan
from benchmarks.report import Row, Target
from benchmarks.server import Usage

KB, MB = 1000.0, 1e6


class Long(Benchmark):
    """One run as long as nobody watches, then followed by a reader, then read from its beginning."""

    name = "long"
    summary = "A long run whose transcript is kept within 16,000 characters: is it flat, and what do its readers cost?"
    contestants: tuple[Name, ...] = ("agentspan", "peer")
    most = 1
    agent = AgentSpec(name="long", max_chars=16_000)

    @property
    def steps(self) -> int:
        return 400 if self.quick else 3000

    @property
    def peer_steps(self) -> int:
        return 60 if self.quick else 300

    @property
    def rows(self) -> list[Row]:
        end = self.steps
        return [
            Row("flat", f"the last 100 of {end} steps ÷ steps 100 to 200, medians", "", (Target(1.15),)),
            Row("early", "a step between 100 and 200, median", "ms"),
            Row("late", "a step of the last 100, median", "ms"),
            Row("storage", "stored per step", "KB"),
            Row("storage-grows", "stored per step, second half ÷ first half", "", (Target(1.1),)),
            Row(
                "decision-grows", "the agent's workflow as it is stored, at the end ÷ in the middle", "", (Target(1.1),)
            ),
            Row("memory", "the server's memory at the end", "MB"),
            Row("memory-grows", "the server's memory, at the end ÷ in the middle", ""),
            Row("follow-requests", "following it: requests more", "/s"),
            Row("follow-cpu", "following it: the server's CPU more", "% of a core"),
            Row("read-all", "reading all its events", "s", (Target(10),)),
            Row("read-requests", "requests for that", ""),
            Row("read-middle", "reading its events from the middle on", "s", (Target(10),)),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        with lab.contestant(name) as contestant:
            contestant.serve(self.agent)
            if name == "peer":
                asked = lab.run(contestant, self.agent, Plan(steps=self.peer_steps), limit=1.6 * self.peer_steps)
                yield from _flatness(asked, self.peer_steps)
            else:
                yield from self._measure_ours(lab, contestant)

    def _measure_ours(self, lab: Lab, contestant: Contestant) -> Iterator[Sample]:
        tail = 60 if self.quick else 200
        plan = Plan(steps=self.steps + tail, slow_after=self.steps, slow_seconds=0.5)
        execution_id = contestant.start(self.agent, plan.prompt()).value
        middle, end = self.steps // 2, self.steps
        early = _usage_at(lab, plan, 100)
        half, half_size = _usage_at(lab, plan, middle), lab.server.stored_size(execution_id)
        late, late_size = _usage_at(lab, plan, end), lab.server.stored_size(execution_id)

        yield from _flatness(lab.model.requests(plan.run), end)
        first, second = (half.disk - early.disk) / (middle - 100), (late.disk - half.disk) / (end - middle)
        yield "storage", (late.disk - early.disk) / (end - 100) / KB
        yield "storage-grows", second / first
        yield "decision-grows", late_size / half_size
        yield "memory", late.memory / MB
        yield "memory-grows", late.memory / half.memory
        yield from self._following(lab, contestant, execution_id)
        lab.model.wait_for(plan, plan.steps + 1, limit=tail * 5)
        yield from self._reading(lab, contestant, execution_id)

    def _following(self, lab: Lab, contestant: Contestant, execution_id: str) -> Iterator[Sample]:
        """The run is in its slow steps now, with and then without a reader."""
        seconds = 5 if self.quick else 20
        alone = _rates(lab, seconds)
        contestant.do("follow", execution_id=execution_id)
        _wait_until_followed(contestant, self.steps)
        followed = _rates(lab, seconds)
        yield "follow-requests", followed[0] - alone[0]
        yield "follow-cpu", followed[1] - alone[1]

    def _reading(self, lab: Lab, contestant: Contestant, execution_id: str) -> Iterator[Sample]:
        before = lab.server.usage().requests
        everything = contestant.do("read", execution_id=execution_id)
        yield "read-all", everything.seconds
        yield "read-requests", lab.server.usage().requests - before
        cursor = everything.value // 2
        yield "read-middle", contestant.do("read", execution_id=execution_id, cursor=cursor).seconds


class LongByDefault(Long):
    """The same with the default budget: the transcript grows for more than a thousand steps."""

    name = "long-default"
    summary = "The same with the default budget of 400,000 characters: the requests themselves grow, and are trimmed."
    contestants = ("agentspan",)
    agent = AgentSpec(name="long_default")


def _usage_at(lab: Lab, plan: Plan, step: int) -> Usage:
    lab.model.wait_for(plan, step, limit=60 + 3 * (step - lab.model.step(plan)))
    return lab.server.usage()


def _flatness(asked: list[Asked], steps: int) -> Iterator[Sample]:
    enough = steps >= 300
    early = median_step(asked, *((100, 200) if enough else (steps // 4, steps // 2)))
    late = median_step(asked, steps - (100 if enough else steps // 4), steps)
    yield "flat", late / early
    yield "early", early
    yield "late", late


def _rates(lab: Lab, seconds: float) -> tuple[float, float]:
    """Requests per second, and percent of a core, over some seconds."""
    before = lab.server.usage()
    time.sleep(seconds)
    after = lab.server.usage()
    passed = after.at - before.at
    return (after.requests - before.requests) / passed, 100 * (after.cpu - before.cpu) / passed


def _wait_until_followed(contestant: Contestant, step: int, limit: float = 120.0) -> None:
    deadline = time.monotonic() + limit
    while contestant.do("followed").value < step:
        if time.monotonic() > deadline:
            raise Unfinished(f"the reader did not get to step {step} in {limit:g} s")
        time.sleep(0.2)
