"""What it costs when nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.contestants import AgentSpec, Contestant, Name
from benchmarks.lab import Benchmark, Lab, Sample
from benchmarks.report import Row, Target

MB = 1e6


class Idle(Benchmark):
    """What it costs when nothing happens."""

    name = "idle"
    summary = "The server and one worker host while nothing runs."
    contestants = ("agentspan", "peer")
    most = 3

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
