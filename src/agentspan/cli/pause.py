"""`agentspan agent pause` and `resume`: one run, or all runs of an agent."""

from __future__ import annotations

import click

from agentspan.cli._agent import agent_name, confirm, handle_of
from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit_all, example, output_option, say

_id = click.argument("execution_id", metavar="[ID]", required=False)


@click.command("pause", epilog=example("agentspan agent pause 7744cf11"))
@_id
@agent_name("all runs")
@output_option
@click.pass_context
def pause(context: click.Context, execution_id: str | None, agent: str | None, output: Output) -> None:
    """Let a run stand still; what runs now finishes.

    With --agent, all runs of the agent that are running now; those that begin later are not paused.
    """
    if agent is None:
        handle = handle_of(context, _one(context, execution_id))
        handle.pause()
        confirm("PAUSED", handle.execution_id, output)
        return
    _refuse_both(context, execution_id)
    _confirm_all("PAUSED", context.ensure_object(Session).runtime().pause_all(agent), agent, output)


@click.command("resume", epilog=example("agentspan agent resume 7744cf11"))
@_id
@agent_name("all runs")
@output_option
@click.pass_context
def resume(context: click.Context, execution_id: str | None, agent: str | None, output: Output) -> None:
    """Let a paused run go on; with --agent, all paused runs of the agent."""
    if agent is None:
        handle = handle_of(context, _one(context, execution_id))
        handle.resume()
        confirm("RESUMED", handle.execution_id, output)
        return
    _refuse_both(context, execution_id)
    _confirm_all("RESUMED", context.ensure_object(Session).runtime().resume_all(agent), agent, output)


def _one(context: click.Context, execution_id: str | None) -> str:
    if execution_id is None:
        raise click.UsageError("Name a run by its ID, or all runs of an agent by --agent NAME.", context)
    return execution_id


def _refuse_both(context: click.Context, execution_id: str | None) -> None:
    if execution_id is not None:
        raise click.UsageError("Give an ID or --agent, not both.", context)


def _confirm_all(done: str, found: list[str], agent: str, output: Output) -> None:
    if output != "text":
        emit_all(({"execution_id": each, "done": done.lower()} for each in found), output)
        return
    for each in found:
        confirm(done, each, output)
    if not found:
        say(f"No run of {agent} is there to be {done.lower()}.")
