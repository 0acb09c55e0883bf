"""The benchmarks, in the order of the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import mean, median
from typing import Any

from benchmarks.contestants import PLAIN, WORKER, AgentSpec, Contestant, Name
from benchmarks.lab import Benchmark, Lab, Sample, median_step, per_step
from benchmarks.model import Asked, Unfinished
from benchmarks.plan import Plan
from benchmarks.report import Row, Target
from benchmarks.server import Usage
from benchmarks.weight import Weight

KB, MB = 1000.0, 1e6


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


class Long(Benchmark):
    """One run as long as nobody watches, then followed by a reader, then read from its beginning."""

    name = "long"
    summary = "A long run whose transcript is kept within 16,000 characters: is it flat, and what do its readers cost?"
    contestants = ("agentspan", "peer")
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
    asked = lab.model.requests(plan.run)
    done = asked[-1].step if asked else 0
    lab.model.wait_for(plan, step, limit=60 + 3 * (step - done))
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


class Idle(Benchmark):
    """What it costs when nothing happens."""

    name = "idle"
    summary = "The server and one worker host while nothing runs."
    contestants = ("agentspan", "peer")

    @property
    def rows(self) -> list[Row]:
        return [
            Row("idle-1", "CPU of both with 1 tool", "% of a core"),
            Row("idle-20", "CPU of both with 20 tools", "% of a core", (Target(5),)),
            Row("idle-worker", "of this, the worker host", "% of a core"),
            Row("idle-processes", "processes of the worker host with 20 tools", ""),
            Row("idle-memory", "their memory", "MB"),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        for tools in (1, 20):
            with lab.contestant(name) as contestant:
                contestant.serve(AgentSpec(name=f"idle_{tools}", tools=tools))
                time.sleep(5 if self.quick else 15)
                both, worker = self._cpu(lab, contestant)
                yield f"idle-{tools}", both
                if tools == 20:
                    yield "idle-worker", worker
                    yield "idle-processes", len(contestant.processes())
                    yield "idle-memory", contestant.memory() / MB

    def _cpu(self, lab: Lab, contestant: Contestant) -> tuple[float, float]:
        seconds = 5 if self.quick else 30
        server, worker, begun = lab.server.cpu(), contestant.cpu(), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - begun
        used = 100 * (contestant.cpu() - worker) / passed
        return used + 100 * (lab.server.cpu() - server) / passed, used


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


SUITE: list[type[Benchmark]] = [
    Steps,
    FanOut,
    Latency,
    Throughput,
    SlowModels,
    Idle,
    Weight,
    Prefix,
    Large,
    Long,
    LongByDefault,
]
