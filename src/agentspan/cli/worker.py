"""`agentspan worker`: serve the tools of agents."""

from __future__ import annotations

import logging

import click

from agentspan.cli._app import Lazy, Session
from agentspan.cli._load import load_agents
from agentspan.cli._logs import show_logs
from agentspan.cli._output import Output, emit, example, output_option, reserved_stdout, say

VERBS = {"list": ("agentspan.cli.worker_list:list_workers", "Say who serves which tool, and what waits for it.")}


@click.group("worker", cls=Lazy, lazy=VERBS)
def worker_group() -> None:
    """Serve the tools of agents."""


@worker_group.command("start", epilog=example("agentspan worker start support.py:agent"))
@click.argument("targets", metavar="MODULE:AGENT...", nargs=-1, required=True)
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running calls may take to finish at the end; what is not done then is handed back.",
)
@output_option
@click.pass_obj
def start(session: Session, targets: tuple[str, ...], drain: float, output: Output) -> None:
    """Serve the tools of these agents until SIGTERM or Ctrl-C.

    Then it takes no more calls, lets those that run finish, and hands back what is not done in time. Start as many
    workers as you like, on as many machines; when one dies, another goes on.
    """
    agents = load_agents(targets)
    show_logs(debug=session.debug, level=logging.INFO)
    with session.runtime() as runtime, reserved_stdout() as stdout:
        runtime.serve(*agents, blocking=False)
        names = [agent.name for agent in agents]
        say(f"Serving {', '.join(names)} on {runtime.settings.base_url}; Ctrl-C stops.")
        if output != "text":
            emit({"serving": names, "server_url": runtime.settings.base_url}, output, stdout)
        runtime.serve(*agents, drain=drain)
    say("Stopped.")


worker_group.add_command(start, "serve")
