"""`agentspan agent prune`: delete what nobody needs any more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from agentspan.cli import _runs
from agentspan.cli._agent import agent_name, run_status
from agentspan.cli._app import Session
from agentspan.cli._moment import Moment, When, moment
from agentspan.cli._output import Output, emit, emit_all, example, output_option, say, table
from agentspan.engine.client import Conductor
from agentspan.engine.records import RunSummary
from agentspan.errors import NotFound
from agentspan.reading.durations import duration
from agentspan.reading.history import History
from agentspan.reading.index import Filter, runs
from agentspan.reading.tree import below
from agentspan.stored.status import ENDED


@dataclass(frozen=True)
class _Pruned:
    """A run that is deleted, or would be."""

    run: RunSummary
    segments: int

    def to_json(self, now: datetime) -> dict[str, Any]:
        return {**_runs.as_json(self.run, now), "segments": self.segments}


@click.command("prune", epilog=example("agentspan agent prune --older-than 30d --dry-run"))
@click.option(
    "--older-than", type=Moment(), required=True, help="Only runs that ended longer ago than this, or before it."
)
@agent_name("runs")
@run_status(sorted(ENDED), "that ended so")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@click.pass_obj
def prune(
    session: Session,
    older_than: When,
    agent: str | None,
    statuses: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    output: Output,
) -> None:
    """Delete runs that ended long ago, with their segments.

    What is deleted is gone: its steps, its events and its answer. Runs that are not over are never touched. TIME is an
    age such as 12h, 30d or 8w, or a moment such as 2026-11-01. Without a terminal to ask on, it takes --yes.
    """
    client = session.runtime().client
    last = moment(older_than, client)
    wanted = Filter(agent=agent, statuses=statuses or tuple(sorted(ENDED)), before=last)
    found = [run for run in runs(client, wanted) if _ended_before(run, last)]
    if found and not dry_run and not yes:
        _ask(found, last)
    pruned = _all(client, found, dry_run=dry_run)
    now = client.moment()
    if output == "text":
        _show(list(pruned), now, dry_run=dry_run)
    elif output == "jsonl":
        emit_all((each.to_json(now) for each in pruned), output)
    else:
        emit({"dry_run": dry_run, "runs": [each.to_json(now) for each in pruned]}, output)


def _ended_before(run: RunSummary, moment: datetime) -> bool:
    over = _runs.ended(run)
    return over is not None and over < moment


def _ask(found: list[RunSummary], older_than: datetime) -> None:
    about = f"{len(found)} runs that ended before {older_than:%Y-%m-%d %H:%M} UTC"
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask on whether to delete {about}: give --yes, or --dry-run.")
    click.confirm(f"Delete {about}, for good?", abort=True, err=True)


def _all(client: Conductor, found: list[RunSummary], *, dry_run: bool) -> Iterator[_Pruned]:
    for run in found:
        segments = _delete(client, run, dry_run=dry_run)
        if segments is not None:
            yield _Pruned(run, segments)


def _delete(client: Conductor, run: RunSummary, *, dry_run: bool) -> int | None:
    """How many segments went with the run; None when it is gone or alive again."""
    history = History(client, run.workflow_id)
    try:
        stored = history.run()
        if not stored.ended:
            return None
        segments = history.segment_ids(stored)
    except NotFound:
        return None
    if not dry_run:
        # The run last: as long as it is there, what an interruption has left can be found.
        begun = (*below(client, segments), *segments, *below(client, [run.workflow_id]), run.workflow_id)
        for execution_id in dict.fromkeys(begun):
            client.remove(execution_id)
    return len(segments)


def _show(pruned: list[_Pruned], now: datetime, *, dry_run: bool) -> None:
    if pruned:
        headings = ("ID", "AGENT", "STATUS", "ENDED", "SEGMENTS")
        click.echo("\n".join(table(headings, [_row(each, now) for each in pruned])))
    say(f"{len(pruned)} runs {'would be' if dry_run else 'were'} deleted.")


def _row(pruned: _Pruned, now: datetime) -> tuple[str, ...]:
    run = pruned.run
    over = _runs.ended(run) or now
    ago = f"{duration((now - over).total_seconds())} ago"
    return run.workflow_id, run.workflow_type, run.status, ago, str(pruned.segments)
