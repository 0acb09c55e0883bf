"""What the verbs of `agentspan agent` share: a run's id, and the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentspan.cli import _runs
from agentspan.cli._app import Session

if TYPE_CHECKING:
    from agentspan.handle import AgentHandle

agent_id = click.argument("execution_id", metavar="ID")


def handle_of(context: click.Context, given: str) -> AgentHandle:
    """The run that `given` names, by its id or a beginning of it."""
    from agentspan.handle import AgentHandle  # noqa: PLC0415 - loads Conductor's client, which `compile` does not need

    runtime = context.ensure_object(Session).runtime()
    return AgentHandle(_runs.find_id(runtime, given), runtime)
