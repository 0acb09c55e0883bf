"""The command: measures, and writes a table after each benchmark."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import click

from agentspan.server._engine import VERSION
from benchmarks.contestants import NAMES, ROOT
from benchmarks.lab import measure
from benchmarks.report import Report, read_report
from benchmarks.server import Kind, Setup
from benchmarks.suite import SUITE

RESULTS = Path(__file__).parent / "results"

BENCHMARKS = [benchmark.name for benchmark in SUITE]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=click.Choice(BENCHMARKS), help="Run this benchmark; may be repeated.")
@click.option("--contestant", multiple=True, type=click.Choice(NAMES), help="With this contestant; may be repeated.")
@click.option("--quick", is_flag=True, help="Short versions, to see that it works; not for comparison.")
@click.option("--reps", type=click.IntRange(1), help="Repetitions: 5, with --quick 1. Long benchmarks take fewer.")
@click.option("--server", type=click.Choice(["embedded", "stock"]), default="embedded", show_default=True)
@click.option("--property", "properties", multiple=True, help="NAME=VALUE: a setting of the stock server, to be tried.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The folder for the tables.")
def main(
    only: tuple[str, ...],
    contestant: tuple[str, ...],
    quick: bool,
    reps: int | None,
    server: Kind,
    properties: tuple[str, ...],
    results: Path,
) -> None:
    """Measure agentspan beside its peer and the engine's floor.

    Writes one table per benchmark, as Markdown and JSON. Tables of benchmarks that are not run now stay as they are.
    """
    if properties and server != "stock":
        raise click.UsageError("--property is for --server stock: the embedded server is measured as it is.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    name = f"{server}-quick" if quick else server
    logs = results / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for kind in SUITE:
        if only and kind.name not in only:
            continue
        click.echo(f"{kind.name}: {kind.summary}")
        table = measure(kind(quick), Setup(server, properties), reps or (1 if quick else 5), contestant or NAMES, logs)
        before = read_report(results / f"{name}.json") or Report(name, {})
        report = replace(before, versions=versions(properties)).with_table(table, BENCHMARKS)
        (results / f"{name}.json").write_text(report.to_json(), encoding="utf-8")
        (results / f"{name}.md").write_text(report.to_markdown(), encoding="utf-8")
    click.echo(f"The tables are in {results / name}.md and .json.")


def versions(properties: tuple[str, ...]) -> dict[str, str]:
    """Of what is measured, and of what it runs on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "agentspan": f"{version('agents-on-conductor')} ({commit.stdout.strip() or 'no commit'})",
        "conductor-python": version("conductor-python"),
        "Conductor": VERSION,
        "Python": platform.python_version(),
        **({"with": " ".join(properties)} if properties else {}),
        "system": f"{platform.system()} with {os.cpu_count()} cores",
    }


if __name__ == "__main__":
    main()
