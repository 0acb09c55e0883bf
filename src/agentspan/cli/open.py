"""`agentspan agent open`: a run in Conductor's user interface."""

from __future__ import annotations

import webbrowser

import click
import httpx

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._output import Output, emit, example, output_option, say


@click.command("open", epilog=example("agentspan agent open 7744cf11 --browser"))
@agent_id
@click.option("--browser", is_flag=True, help="Open it in a browser, too.")
@output_option
@click.pass_context
def open_(context: click.Context, execution_id: str, browser: bool, output: Output) -> None:
    """Print the address of a run in Conductor's user interface.

    The embedded server has none of its own: AGENTSPAN_UI_URL names another place.
    """
    handle = handle_of(context, execution_id)
    settings = handle.runtime.settings
    place = (settings.ui_url or settings.base_url).rstrip("/")
    url = f"{place}/execution/{handle.execution_id}"
    if output == "text":
        click.echo(url)
    else:
        emit({"execution_id": handle.execution_id, "url": url}, output)
    if settings.ui_url is None and not _has_ui(place):
        say("This server has no user interface of its own. Where there is one, set AGENTSPAN_UI_URL to its address.")
    if browser and not webbrowser.open(url):
        say("There is no browser to open it in.")


def _has_ui(place: str) -> bool:
    """Whether the page there is an application; Conductor's boot jar has a page that only links to its REST API."""
    try:
        page = httpx.get(place, timeout=5.0, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError):  # a private certificate, an odd proxy
        return True
    return "<script" in page.text
