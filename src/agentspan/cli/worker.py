"""`agentspan worker`: serve the tools of agents."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from agentspan.cli._app import Lazy, Session
from agentspan.cli._load import load_agents
from agentspan.cli._logs import show_logs
from agentspan.cli._output import Output, emit, example, output_option, reserved_stdout, say
from agentspan.config import load_settings
from agentspan.errors import ConfigError, WorkerError
from agentspan.telemetry.logs import CallFields, JsonLines
from agentspan.telemetry.metrics import serve_metrics
from agentspan.worker.health import HealthFile

log: logging.Logger = logging.getLogger("agentspan.worker")

VERBS = {"list": ("agentspan.cli.worker_list:list_workers", "Say who serves which tool, and what waits for it.")}


@click.group("worker", cls=Lazy, lazy=VERBS)
def worker_group() -> None:
    """Serve the tools of agents."""


@worker_group.command("start", epilog=example("agentspan worker start support.py:agent"))
@click.argument("targets", metavar="MODULE:AGENT...", nargs=-1, required=True)
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics there; 0: a free port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address to serve them on.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: an object a line, with execution_id, step and call_id; the tools' own lines too.",
)
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running calls may take to finish at the end; what is not done then is handed back.",
)
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="CALLS", help="How many calls run at once; 64 unless configured."
)
@output_option
@click.pass_obj
def start(
    session: Session,
    targets: tuple[str, ...],
    metrics_port: int | None,
    metrics_host: str,
    log_format: str,
    drain: float,
    concurrency: int | None,
    output: Output,
) -> None:
    """Serve the tools of these agents until SIGTERM or Ctrl-C.

    Then it takes no more calls, lets those that run finish, and hands back what is not done in time. Start as many
    workers as you like, on as many machines; when one dies, another goes on.
    """
    agents = load_agents(targets)
    if log_format == "json":
        _show_json_logs(debug=session.debug)
        tell: Callable[[str], None] = log.info
    else:
        show_logs(debug=session.debug, level=logging.INFO)
        tell = say
    if metrics_port is not None:
        tell(f"Metrics are at http://{metrics_host}:{serve_metrics(metrics_port, metrics_host)}/metrics")
    with session.runtime(concurrency=concurrency) as runtime, reserved_stdout() as stdout:
        runtime.serve(*agents, blocking=False)
        names = [agent.name for agent in agents]
        tell(f"Serving {', '.join(names)} on {runtime.settings.address}; Ctrl-C stops.")
        if output != "text":
            emit({"serving": names, "server_url": ",".join(runtime.settings.base_urls)}, output, stdout)
        runtime.serve(*agents, drain=drain)
    tell("Stopped.")


def _show_json_logs(*, debug: bool) -> None:
    """Print all that this process logs on stderr, the tools' own lines too: a JSON object each."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(CallFields())
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    if not debug:
        for name, level in (("conductor", logging.ERROR), ("httpx", logging.WARNING)):
            logging.getLogger(name).setLevel(level)


worker_group.add_command(start, "serve")


@worker_group.command("check", epilog=example("AGENTSPAN_HEALTH_FILE=/tmp/worker agentspan worker check --ready"))
@click.option("--ready", is_flag=True, help="Ask also that the server has answered it within that time.")
@click.option("--max-age", type=click.FloatRange(min=1), default=60, show_default=True, help="Seconds.")
@output_option
def check(ready: bool, max_age: float, output: Output) -> None:
    """Whether the worker of this machine or container is alive; for probes.

    A worker that is started with AGENTSPAN_HEALTH_FILE in its environment keeps that file fresh, about once a second.
    The exit code is 1 when what stands there is older than --max-age. No request is sent.
    """
    path = load_settings().health_file
    if path is None:
        raise ConfigError("No health file is named.", hint="Set AGENTSPAN_HEALTH_FILE, for the worker and for this.")
    health = HealthFile(Path(path)).read()
    if health is None:
        raise WorkerError(f"No worker has written {path}.", hint="It does so once it serves.")
    turned, answered = time.time() - health.turned, time.time() - health.answered
    if turned > max_age:
        raise WorkerError(f"The worker, process {health.pid}, has not polled for {turned:.0f} s.")
    if ready and answered > max_age:
        raise WorkerError(f"The worker, process {health.pid}, polls, but no server has answered for {max_age:g} s.")
    if output == "text":
        click.echo(f"The worker, process {health.pid}, polled {turned:.1f} s ago.")
    else:
        emit(asdict(health), output)
