"""The benchmarks, in the order of the report."""

from benchmarks.lab import Benchmark
from benchmarks.suite.context import Large, Prefix
from benchmarks.suite.idle import Idle
from benchmarks.suite.latency import Latency
from benchmarks.suite.long import Long, LongByDefault
from benchmarks.suite.runs import FanOut, SlowModels, Steps, Throughput
from benchmarks.suite.teams import Teams
from benchmarks.suite.weight import Weight

SUITE: list[type[Benchmark]] = [
    Steps,
    FanOut,
    Latency,
    Throughput,
    SlowModels,
    Teams,
    Idle,
    Weight,
    Prefix,
    Large,
    Long,
    LongByDefault,
]
