"""`agentspan agent why`: what a run waits for, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit, emit_all, example, output_option, status_lines
from agentspan.cli._text import flat, plain
from agentspan.engine.client import Conductor
from agentspan.reading.reasons import Reason
from agentspan.reading.waits import ending


@click.command("why", epilog=example("agentspan agent why 7744cf11"))
@agent_id
@output_option
@click.pass_context
def why(context: click.Context, execution_id: str, output: Output) -> None:
    """Say what a run waits for, since when, and what to do.

    Of a run that is over it says how it ended, and how to go on.
    """
    handle = handle_of(context, execution_id)
    client = handle.runtime.client
    status = handle.get_status()
    reasons = [_with_progress(client, reason) for reason in status.waits]
    if status.is_complete:
        reasons = [ending(client.workflow(status.execution_id, tasks=False))]
    program = context.ensure_object(Session).program
    found = [_as_typed(reason, program) for reason in reasons]
    if output == "text":
        click.echo(next(status_lines(status, client.moment())))
        for reason in found:
            click.echo("\n".join(_lines(reason)))
    elif output == "json":
        emit({**status.to_json(), "reasons": [reason.to_json() for reason in found]}, output)
    else:
        emit_all((reason.to_json() for reason in found), output)


def _with_progress(client: Conductor, reason: Reason) -> Reason:
    """With what the call has said last."""
    said = client.task_log(reason.task_id) if reason.kind == "tool_running" and reason.task_id else []
    return replace(reason, text=f"{reason.text} It says: {said[-1]}") if said else reason


def _as_typed(reason: Reason, program: str) -> Reason:
    """With commands as they have to be typed here."""
    text = reason.text.replace("`agentspan ", f"`{program} ") if reason.kind == "answered" else reason.text
    return replace(reason, text=text, next=tuple(_typed(step, program) for step in reason.next))


def _typed(step: str, program: str) -> str:
    return f"{program} {step.removeprefix('agentspan ')}" if step.startswith("agentspan ") else step


def _lines(reason: Reason) -> Iterator[str]:
    yield f"  why      {flat(reason.text)}"
    for step in reason.next:
        yield f"  next     {plain(step)}"
