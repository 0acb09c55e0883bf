"""What was measured, as values, as JSON and as Markdown. Knows nothing of how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import TypeAdapter

OURS, PEER, FLOOR = "agentspan", "peer", "floor"

HEADINGS = ["", OURS, f"{PEER}: conductor.ai.agents", f"{FLOOR}: engine alone", f"against {PEER}", f"against {FLOOR}"]
HEADINGS += ["target", "reached"]

_NOTHING = "–"


@dataclass(frozen=True)
class Target:
    """What agentspan's figure is to be: at most a limit, or at least that where more is better.

    Attributes:
        limit: The figure, or its ratio to another contestant's.
        times: The other contestant; empty for the figure itself.
    """

    limit: float
    times: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        key: Its name.
        title: What is measured.
        unit: Of the figures.
        targets: What is to be reached, if anything.
        better: Which figures are.
    """

    key: str
    title: str
    unit: str
    targets: tuple[Target, ...] = ()
    better: Literal["lower", "higher"] = "lower"


@dataclass(frozen=True)
class Figure:
    """What one contestant reached.

    Attributes:
        samples: One for each repetition that got to its end.
        failures: What became of the others.
    """

    samples: tuple[float, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def value(self) -> float | None:
        """The median; None without a sample, or when more repetitions failed than not."""
        return median(self.samples) if len(self.samples) > len(self.failures) else None


@dataclass(frozen=True)
class Line:
    """A row with its figures, by contestant."""

    row: Row
    figures: dict[str, Figure] = field(default_factory=dict)

    def value(self, contestant: str) -> float | None:
        """A contestant's figure, None when it has none."""
        return self.figures.get(contestant, Figure()).value

    def ratio(self, contestant: str) -> float | None:
        """Agentspan's figure as a multiple of another contestant's."""
        ours, other = self.value(OURS), self.value(contestant)
        return None if ours is None or not other else ours / other

    def reached(self, target: Target) -> bool | None:
        """Whether it was; None when it cannot be told."""
        found = self.ratio(target.times) if target.times else self.value(OURS)
        if found is None:
            return None
        return found <= target.limit if self.row.better == "lower" else found >= target.limit


@dataclass(frozen=True)
class Machine:
    """How quiet the machine was.

    Attributes:
        load: The load average of the last minute, before and after.
        calibration: Milliseconds that the same loop took, before and after: more than on a quiet machine means
            that others were at work.
        model: Milliseconds that the scripted model itself takes over a small request.
    """

    load: tuple[float, float]
    calibration: tuple[float, float]
    model: float


@dataclass(frozen=True)
class Table:
    """One benchmark's outcome."""

    name: str
    summary: str
    measured: str
    repetitions: int
    machine: Machine
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Report:
    """All tables of one server.

    Attributes:
        server: `embedded` or `stock`, and whether the short versions were run.
        versions: Of what was measured, and of what it ran on.
        tables: In the order of the suite.
    """

    server: str
    versions: Mapping[str, str]
    tables: tuple[Table, ...] = ()

    def with_table(self, table: Table, order: list[str]) -> Report:
        """The report with a table put in, in place of an older one of its name."""
        others = [other for other in self.tables if other.name != table.name]
        return replace(self, tables=tuple(sorted([*others, table], key=lambda entry: order.index(entry.name))))

    def to_json(self) -> str:
        """The report with every sample."""
        return _REPORT.dump_json(self, indent=2).decode() + "\n"

    def to_markdown(self) -> str:
        """The report for people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = [f"# Benchmarks, {self.server} server\n\n{versions}."]
        return "\n\n".join([*parts, *map(_section, self.tables)]) + "\n"


_REPORT = TypeAdapter(Report)


def read_report(path: Path) -> Report | None:
    """A report that `Report.to_json` wrote; None when there is none."""
    return _REPORT.validate_json(path.read_bytes()) if path.exists() else None


def _section(table: Table) -> str:
    cells = [HEADINGS, ["---", *["---:"] * 5, "---", "---"], *map(_cells, table.lines)]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in cells)
    return f"## {table.name}\n\n{table.summary}\n\n{rows}\n\n{_conditions(table)}{_failures(table)}"


def _conditions(table: Table) -> str:
    machine = table.machine
    loads, loops = ([f"{value:.2f}" for value in machine.load], [f"{value:.0f}" for value in machine.calibration])
    times = f"{table.repetitions} repetition{'s' if table.repetitions > 1 else ''}"
    return (
        f"{table.measured}; {times}; load {' → '.join(loads)}; calibration loop "
        f"{' → '.join(loops)} ms; the model itself {machine.model:.1f} ms."
    )


def _failures(table: Table) -> str:
    said = [
        f"- {line.row.key}, {contestant}: {failure}"
        for line in table.lines
        for contestant, figure in line.figures.items()
        for failure in dict.fromkeys(figure.failures)
    ]
    return "\n\n" + "\n".join(said) if said else ""


def _cells(line: Line) -> list[str]:
    row = line.row
    figures = [_figure(line.figures.get(contestant), row.unit) for contestant in (OURS, PEER, FLOOR)]
    ratios = [_ratio(line.ratio(contestant)) for contestant in (PEER, FLOOR)]
    targets = [_target(target, row) for target in row.targets]
    verdicts = [{True: "yes", False: "**no**", None: "unknown"}[line.reached(target)] for target in row.targets]
    return [row.title, *figures, *ratios, "; ".join(targets), "; ".join(verdicts)]


def _figure(figure: Figure | None, unit: str) -> str:
    if figure is None or not (figure.samples or figure.failures):
        return _NOTHING
    return figure.failures[0] if figure.value is None else f"{_number(figure.value)} {unit}".strip()


def _ratio(ratio: float | None) -> str:
    return _NOTHING if ratio is None else f"{_number(ratio)} ×"


def _target(target: Target, row: Row) -> str:
    sign = "≤" if row.better == "lower" else "≥"
    unit = f"× {target.times}" if target.times else row.unit
    return f"{sign} {_number(target.limit)} {unit}".strip()


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
