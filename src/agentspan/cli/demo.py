"""`agentspan demo`: a run survives the death of its worker, before your eyes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentspan._distribution import add_extra
from agentspan.agents import AgentspanError, AgentStatus, Event
from agentspan.cli._app import Session
from agentspan.cli._events import line_of
from agentspan.cli._logs import show_logs
from agentspan.cli._output import Output, emit, output_option, status_lines
from agentspan.cli._progress import show_progress

if TYPE_CHECKING:
    from agentspan.demo.ledger import Call
    from agentspan.demo.play import Death, Summary
    from agentspan.demo.stage import Model
    from agentspan.server import Progress


@click.command("demo")
@click.option(
    "--model", "asked", metavar="MODEL", help="provider/model whose key is in the environment, or `scripted`."
)
@click.option("--keep", is_flag=True, help="Leave the server running at the end.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the demo's server.  [default: `demo` in $AGENTSPAN_DATA_DIR, or in your data folder]",
)
@output_option
@click.pass_obj
def demo(session: Session, asked: str | None, keep: bool, data_dir: Path | None, output: Output) -> None:
    """See a run survive the death of its worker.

    An agent goes through customer feedback, chunk by chunk. In the middle its worker is killed; another one takes
    over, and the run goes on from the step it was at. The first time, the server is downloaded: half a gigabyte.

    Without OPENAI_API_KEY or ANTHROPIC_API_KEY in the environment the model is a script; the server, the tools and
    the kill are real in any case. Nothing is left running.
    """
    try:
        from agentspan.demo.play import play  # noqa: PLC0415 - needs an extra
        from agentspan.demo.stage import choose_model  # noqa: PLC0415
        from agentspan.server import LocalServer  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise AgentspanError(f"the demo needs the package {error.name}", hint=add_extra("server")) from error
    show_logs(debug=session.debug)
    model = choose_model(asked, os.environ)
    narrator = Terminal(err=output != "text")
    given = os.environ.get("AGENTSPAN_DATA_DIR")
    # Never the folder of the user's own server, which would be replaced.
    folder = data_dir or (Path(given) / "demo" if given else LocalServer().data_dir.with_name("demo"))
    narrator.tell(_introduction(model))
    summary = play(folder.absolute(), model, narrator, keep=keep)
    if output == "text":
        _conclude(summary, narrator)
    else:
        emit(summary.to_json(), output)


class Terminal:
    """Tells the demo on the terminal; in colours where it has them.

    Args:
        err: Whether to speak on stderr, because stdout is for JSON.
    """

    def __init__(self, *, err: bool) -> None:
        self._err = err

    def scene(self, title: str) -> None:
        """Print a heading."""
        self._print(f"\n{click.style(title, bold=True)}")

    def tell(self, text: str) -> None:
        """Print a line of the story."""
        self._print(click.style(text, fg="red", bold=True) if text.startswith("kill ") else text)

    def event(self, event: Event) -> None:
        """Print what has happened in the run."""
        line = f"  {line_of(event)}"
        self._print(click.style(line, dim=True) if event.type == "step" else line)

    def status(self, status: AgentStatus) -> None:
        """Print what `agentspan agent status` says."""
        first, *more = status_lines(status, datetime.now(UTC))
        self._print(click.style(f"  {first}", fg="yellow"))
        for line in more:
            if not line.startswith(("  agent", "  tokens")):
                self._print(f"  {line}")

    def progress(self) -> AbstractContextManager[Progress]:
        """Show how far the server is."""
        return show_progress()

    def _print(self, text: str) -> None:
        click.echo(text, err=self._err)


def _introduction(model: Model) -> str:
    if model.scripted:
        return "No provider's key is in the environment: the model is a script. Everything else is real."
    return f"The model is {model.name}."


def _conclude(summary: Summary, narrator: Terminal) -> None:
    narrator.scene("The report")
    for line in summary.report.splitlines():
        narrator.tell(f"  {line}".rstrip())
    narrator.scene("What the tools' own book says")
    for line in _account(summary):
        narrator.tell(line)
    narrator.scene("Look further")
    for line in _further(summary):
        narrator.tell(line)


def _account(summary: Summary) -> Iterator[str]:
    for call in summary.calls:
        yield f"  {call.tool:<18} {call.about:<11} {_how_often(call, summary.death)}"
    once = len(summary.calls) - len(summary.repeated)
    yield f"{once} calls ran once, {len(summary.repeated)} ran twice, none was lost, in {summary.steps} steps."
    for call in summary.repeated:
        yield f"The repeated one had the same idempotency key both times: {call.idempotency_key}"
    if summary.seconds_to_go_on is not None:
        gap = summary.seconds_to_go_on
        yield f"From the kill until it went on: {gap:.1f} s. A dead worker is noticed after 5 s."


def _how_often(call: Call, death: Death | None) -> str:
    if len(call.attempts) == 1:
        return f"once      process {call.pids[0]}"
    tries = (
        f"attempt {attempt} in process {pid}{' (killed)' if death and pid == death.pid else ''}"
        for attempt, pid in zip(call.attempts, call.pids, strict=True)
    )
    return f"{len(call.attempts)} times   {', '.join(tries)}"


def _further(summary: Summary) -> Iterator[str]:
    address = summary.server_url.removesuffix("/")
    port = address.rpartition(":")[2]
    server = "" if port == "6767" else f" --server {address}"
    if not summary.kept:
        yield "Everything was stopped. To start the server again, with this run in it:"
        yield f"  agentspan server start --data-dir {summary.data_dir} --port {port}"
    else:
        yield "The server is still running. To stop it:"
        yield f"  agentspan server stop --data-dir {summary.data_dir}"
    yield "Then:" if not summary.kept else "Until then:"
    yield f"  agentspan{server} agent status {summary.execution_id}"
    yield f"  agentspan{server} agent stream {summary.execution_id}"
    yield f"  agentspan{server} agent inspect {summary.execution_id}"
    yield f"  {address}/execution/{summary.execution_id} in Conductor's UI, where the server has one"
