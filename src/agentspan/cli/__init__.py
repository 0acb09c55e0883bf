"""The command line: one file per noun.

A noun's file is imported when the noun is used. `agentspan --help` and `agentspan --version` load click and nothing
else, so they answer at once.
"""

from __future__ import annotations

import click

from agentspan.cli._app import Root, Session, show_version

NOUNS = {
    "agent": ("agentspan.cli.agent:agent_group", "Start runs of agents, watch them, read what they gave."),
    "completion": ("agentspan.cli.completion:completion", "Print a script that completes commands in your shell."),
    "config": ("agentspan.cli.config:config_group", "Show the settings, and where each comes from."),
    "demo": ("agentspan.cli.demo:demo", "See a run survive the death of its worker."),
    "dev": ("agentspan.cli.dev:dev", "Run a server and a worker here, and reload the worker when a file is saved."),
    "doctor": ("agentspan.cli.doctor:doctor", "Check what this machine needs to run agents."),
    "request": (
        "agentspan.cli.request:request_group",
        "Decide what agents ask people: approvals, questions, budgets, what guardrails refuse.",
    ),
    "server": ("agentspan.cli.server:server_group", "Run a Conductor server on this machine."),
    "worker": ("agentspan.cli.worker:worker_group", "Serve the tools of agents."),
}

EPILOG = """
\b
Exit codes:
  0  it worked                   4  not authorised
  1  an error                    5  no server answers
  2  wrong usage, or an agent    8  the run waits for somebody
     that makes no sense            (status --exit-status)
  3  the run ended without a     130  interrupted
     result

\b
Environment:
  AGENTSPAN_SERVER_URL  the server; http://127.0.0.1:6767 without it
  AGENTSPAN_PROFILE     the profile of your own file to use
  AGENTSPAN_DEBUG       set it to see tracebacks
"""


@click.command(cls=Root, lazy=NOUNS, epilog=EPILOG)
@click.option("--server", "server_url", metavar="URL", help="The Conductor server.  [env var: AGENTSPAN_SERVER_URL]")
@click.option(
    "--profile", metavar="NAME", help="The settings of [profiles.NAME] in your own file.  [env var: AGENTSPAN_PROFILE]"
)
@click.option("--debug", is_flag=True, envvar="AGENTSPAN_DEBUG", show_envvar=True, help="Show tracebacks.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(context: click.Context, server_url: str | None, profile: str | None, debug: bool) -> None:
    """AI agents that cannot be killed: their runs live on a Conductor server, their tools in your processes."""
    context.obj = Session(server_url=server_url, profile=profile, debug=debug)
