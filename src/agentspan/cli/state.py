"""`agentspan agent state`: what the calls of a run share, and which of them changed it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._output import Output, emit, emit_all, example, output_option, status_lines, width
from agentspan.cli._text import cut, flat

if TYPE_CHECKING:
    from agentspan.stored.state import StateChange


@click.command("state", epilog=example("agentspan agent state 7744cf11 --last 5"))
@agent_id
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N changes; all unless given.")
@output_option
@click.pass_context
def state(context: click.Context, execution_id: str, last: int | None, output: Output) -> None:
    """Show the state that the calls of a run share, and which of them changed what.

    Values are cut to the width of the terminal; -o json has them whole, with the state as null where the run has none.
    -o jsonl has the changes alone.
    """
    handle = handle_of(context, execution_id)
    found, changes = handle.state(), handle.state_changes()
    shown = changes if last is None else changes[-last:]
    if output == "text":
        click.echo(next(status_lines(handle.get_status(), handle.runtime.client.moment())))
        for line in _lines(found, shown):
            click.echo(cut(line, width()))
    elif output == "json":
        emit(
            {"execution_id": handle.execution_id, "state": found, "changes": [each.to_json() for each in shown]}, output
        )
    else:
        emit_all((each.to_json() for each in shown), output)


def _lines(found: dict[str, Any] | None, changes: Sequence[StateChange]) -> Iterator[str]:
    if found is None:
        yield "  It has no state: its agent has no state_type, or no step has begun."
        return
    longest = max(map(len, found), default=0)
    for name, value in found.items():
        yield f"  {flat(name):<{longest}}  {_value(value)}"
    if changes:
        yield ""
    for change in changes:
        sign = "=" if change.action == "set" else "+"
        instead = f", in place of what {', '.join(map(flat, change.overwrote))} gave" if change.overwrote else ""
        unfit = ", which no number is large enough for" if change.unfit else ""
        what = f"{flat(change.field)} {sign} {_value(change.value)}"
        yield f"step {change.step}  {flat(change.tool)}  {what}{instead}{unfit}"


def _value(value: Any) -> str:
    return flat(json.dumps(value, ensure_ascii=False))
