"""`agentspan agent open`: a run in Conductor's user interface."""

from __future__ import annotations

import webbrowser

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._output import Output, emit, example, output_option, say


@click.command("open", epilog=example("agentspan agent open 7744cf11 --browser"))
@agent_id
@click.option("--browser", is_flag=True, help="Open it in a browser, too.")
@output_option
@click.pass_context
def open_(context: click.Context, execution_id: str, browser: bool, output: Output) -> None:
    """Print the address of a run in Conductor's user interface."""
    handle = handle_of(context, execution_id)
    url = f"{handle.runtime.settings.base_url}/execution/{handle.execution_id}"
    if output == "text":
        click.echo(url)
    else:
        emit({"execution_id": handle.execution_id, "url": url}, output)
    if browser and not webbrowser.open(url):
        say("There is no browser to open it in.")
