"""What the verbs of `agentspan agent` share: a run's id, and the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import click

from agentspan.cli import _runs
from agentspan.cli._app import Session
from agentspan.cli._output import F, Output, emit

if TYPE_CHECKING:
    from agentspan.runtime.handle import AgentHandle

_NAME = re.compile(r"[A-Za-z_][\w-]*")


def _check_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not an agent's name.", context, parameter)
    return value


agent_id = click.argument("execution_id", metavar="ID")


def agent_name(what: str) -> Callable[[F], F]:
    """Give a command `--agent`, for what belongs to one agent."""
    return click.option("--agent", metavar="NAME", callback=_check_name, help=f"Only {what} of this agent.")


def run_status(states: Collection[str], which: str) -> Callable[[F], F]:
    """Give a command `--status`, for runs in any of some states."""
    return click.option(
        "--status",
        "statuses",
        type=click.Choice(tuple(states), case_sensitive=False),
        multiple=True,
        help=f"Only runs {which}; may be given several times.",
    )


def handle_of(context: click.Context, given: str) -> AgentHandle:
    """The run that `given` names, by its id or a beginning of it."""
    from agentspan.runtime.handle import AgentHandle  # noqa: PLC0415 - loads Conductor's client, which `compile` does not need

    runtime = context.ensure_object(Session).runtime()
    return AgentHandle(_runs.find_id(runtime, given), runtime)


def confirm(done: str, execution_id: str, output: Output) -> None:
    """Say what was done with a run."""
    if output == "text":
        click.echo(f"{done}  execution_id={execution_id}")
    else:
        emit({"execution_id": execution_id, "done": done.lower()}, output)
