"""What a person or a web page waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from benchmarks.contestants import PLAIN, WORKER, Contestant, Name
from benchmarks.lab import Benchmark, Lab, Sample
from benchmarks.model import Unfinished
from benchmarks.plan import Plan
from benchmarks.report import Row, Target


class Latency(Benchmark):
    """What a person or a web page waits for."""

    name = "latency"
    summary = "Small things."

    @property
    def rows(self) -> list[Row]:
        return [
            Row("plain", "an agent without tools, start to result", "ms", (Target(60),)),
            Row("start", "start() returns", "ms", (Target(25),)),
            Row("first-event", "the first event, from the call of start()", "ms", (Target(100),)),
            Row("call-event", "the event of a tool call, from the model's answer", "ms", (Target(100),)),
            Row(
                "idle-call",
                "a call reaches a worker that was idle for 5 s, from the model's answer",
                "ms",
                (Target(100),),
            ),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        times = 3 if self.quick else 10
        with lab.contestant(name) as contestant:
            contestant.serve(PLAIN)
            contestant.serve(WORKER)
            lab.run(contestant, WORKER, Plan(steps=2), limit=120)
            self._plain(contestant)
            yield "plain", median(self._plain(contestant) for _ in range(times))
            yield "start", median(self._start(lab, contestant) for _ in range(times))
            if name != "floor":
                seen = [self._events(lab, contestant) for _ in range(times)]
                yield "first-event", median(first for first, _ in seen)
                yield "call-event", median(call for _, call in seen)
            yield "idle-call", median(self._idle_call(lab, contestant) for _ in range(1 if self.quick else 3))

    def _plain(self, contestant: Contestant) -> float:
        return 1000 * contestant.do("run", agent=vars(PLAIN), prompt=Plan().prompt()).seconds

    def _start(self, lab: Lab, contestant: Contestant) -> float:
        plan = Plan(steps=1)
        answer = contestant.start(WORKER, plan.prompt())
        lab.model.wait_for(plan, 2, limit=60)
        return 1000 * answer.seconds

    def _events(self, lab: Lab, contestant: Contestant) -> tuple[float, float]:
        plan = Plan(steps=1)
        watched = contestant.do("watch", agent=vars(WORKER), prompt=plan.prompt()).value
        seen = dict(reversed(watched["events"]))
        if "tool_call" not in seen:
            raise Unfinished(f"no event of the tool call; there were {', '.join(seen) or 'none'}")
        answered = lab.model.requests(plan.run)[0].answered
        return 1000 * (watched["events"][0][1] - watched["begun"]), 1000 * (seen["tool_call"] - answered)

    def _idle_call(self, lab: Lab, contestant: Contestant) -> float:
        time.sleep(5)
        plan = Plan(steps=1)
        contestant.start(WORKER, plan.prompt(), serve=False)
        asked = lab.model.wait_for(plan, 2, limit=60)
        return 1000 * (asked[1].spans[0].entered - asked[0].answered)
