"""Where a benchmark measures, and how its repetitions are arranged."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
import psutil

from benchmarks.contestants import NAMES, WORKER, AgentSpec, Contestant, Name
from benchmarks.model import Asked, Model, Unfinished
from benchmarks.plan import Plan
from benchmarks.report import Figure, Line, Machine, Row, Table
from benchmarks.server import NO_SERVER, Server, Setup, running

Sample = tuple[str, float]
"""The key of a row, and a figure for it."""

WARM_STEPS = {"agentspan": 200, "floor": 40, "peer": 10}
"""Steps before anything is measured: Java is slow until it knows what is hot."""


@dataclass(frozen=True)
class Lab:
    """A server, a model, and a folder for what contestants print."""

    model: Model
    server: Server
    logs: Path

    @contextmanager
    def contestant(self, name: Name) -> Iterator[Contestant]:
        """A contestant in a fresh process. What it leaves unfinished on the server is ended."""
        with Contestant(name, self.server.url, self.logs / f"{name}.log") as contestant:
            try:
                yield contestant
            except Unfinished:
                for execution_id in contestant.started:
                    self.server.terminate(execution_id)
                raise

    def run(self, contestant: Contestant, agent: AgentSpec, plan: Plan, limit: float, padding: int = 0) -> list[Asked]:
        """Start a run and wait for the model's last request; all of its requests.

        Raises:
            Unfinished: It did not get there within the limit.
        """
        contestant.start(agent, plan.prompt() + "." * padding)
        return self.model.wait_for(plan, plan.steps + 1, limit)


class Benchmark(ABC):
    """Something to measure.

    Attributes:
        name: For `--only`.
        summary: What its figures are.
        contestants: Who takes part.
        most: Repetitions at most, where one takes minutes.
        needs_server: Whether there must be one.
    """

    name: str
    summary: str
    contestants: tuple[Name, ...] = NAMES
    most: int = 1000
    needs_server: bool = True

    def __init__(self, quick: bool) -> None:
        self.quick = quick

    @property
    @abstractmethod
    def rows(self) -> list[Row]:
        """The table's lines."""

    @abstractmethod
    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        """Measure one contestant once.

        Raises:
            Unfinished: It did not get to the end; what was yielded before counts.
        """


def measure(benchmark: Benchmark, setup: Setup, repetitions: int, contestants: Sequence[str], logs: Path) -> Table:
    """Run a benchmark on a server of its own: the contestants in turn, again and again.

    A server that does not survive a contestant is replaced for those who come after it.
    """
    repetitions = min(repetitions, benchmark.most)
    names = [name for name in benchmark.contestants if name in contestants]
    left = deque(name for number in range(repetitions) for name in (names if number % 2 == 0 else names[::-1]))
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    failures: dict[tuple[str, str], list[str]] = defaultdict(list)
    measured = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load, loop = os.getloadavg()[0], calibrate()
    with Model() as model:
        own = model.own_seconds(size=500) * 1000
        while left:
            with running(setup, model.urls) if benchmark.needs_server else nullcontext(NO_SERVER) as server:
                lab = Lab(model, server, logs)
                if benchmark.needs_server:
                    warm(lab, names, benchmark.quick)
                while True:
                    _measure_one(benchmark, lab, left.popleft(), samples, failures)
                    if not left or (benchmark.needs_server and not server.is_well()):
                        break
    lines = [
        Line(row, {name: Figure(tuple(samples[row.key, name]), tuple(failures[row.key, name])) for name in names})
        for row in benchmark.rows
    ]
    machine = Machine((load, os.getloadavg()[0]), (loop, calibrate()), own)
    return Table(benchmark.name, benchmark.summary, measured, repetitions, machine, tuple(lines))


def _measure_one(
    benchmark: Benchmark,
    lab: Lab,
    name: Name,
    samples: dict[tuple[str, str], list[float]],
    failures: dict[tuple[str, str], list[str]],
) -> None:
    missing = [row.key for row in benchmark.rows]
    try:
        for key, value in benchmark.measure(lab, name):
            samples[key, name].append(value)
            missing.remove(key)
            print(f"  {name:<10} {key:<20} {value:10.3f}", flush=True)
    except (Unfinished, httpx.HTTPError, psutil.Error) as reason:  # a server that is gone is an outcome, too
        print(f"  {name:<10} {reason}", flush=True)
        for key in missing:
            failures[key, name].append(str(reason))


def warm(lab: Lab, names: Sequence[Name], quick: bool) -> None:
    """Let every contestant do some steps that do not count."""
    for name in dict.fromkeys(["agentspan", *names]):
        steps = WARM_STEPS[name] // (10 if quick else 1)
        try:
            with lab.contestant(name) as contestant:
                contestant.serve(WORKER)
                lab.run(contestant, WORKER, Plan(steps=steps), limit=120 + steps)
        except Unfinished as reason:
            print(f"  {name:<10} warming up: {reason}", flush=True)


def calibrate() -> float:
    """Milliseconds that a loop of a fixed length takes: the median of some tries."""

    def once() -> float:
        begun = time.perf_counter()
        sum(number * number for number in range(500_000))
        return 1000 * (time.perf_counter() - begun)

    return median(once() for _ in range(7))


def per_step(asked: Sequence[Asked], first: int = 1, last: int | None = None) -> float:
    """Milliseconds from the model's request of step `first` to that of step `last`, for each step between them."""
    times = {entry.step: entry.at for entry in asked}
    end = last or max(times)
    return 1000 * (times[end] - times[first]) / (end - first)


def median_step(asked: Sequence[Asked], first: int, last: int) -> float:
    """Milliseconds of the step in the middle, of those from `first` to `last`."""
    times = {entry.step: entry.at for entry in asked}
    return median(1000 * (times[step + 1] - times[step]) for step in range(first, last))
