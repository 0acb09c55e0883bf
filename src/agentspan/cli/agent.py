"""`agentspan agent`: runs of agents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

import click

from agentspan.agents import Agent, ExecutionError, compile_agent
from agentspan.cli import _runs
from agentspan.cli._agent import agent_id, agent_name, confirm, handle_of, run_status
from agentspan.cli._app import INTERRUPTED, RUN_ENDED_BADLY, Lazy, Session
from agentspan.cli._events import Spoken, show_event
from agentspan.cli._json import JsonObject
from agentspan.cli._key_value import KeyValue
from agentspan.cli._load import load_agent
from agentspan.cli._logs import show_logs
from agentspan.cli._moment import Moment, When, moment
from agentspan.cli._output import (
    Output,
    answer,
    emit,
    emit_all,
    example,
    output_option,
    reserved_stdout,
    say,
    status_lines,
    table,
)
from agentspan.declare.placing import placed, told
from agentspan.errors import NotFound
from agentspan.reading.asking import asking_by_run
from agentspan.reading.durations import duration
from agentspan.reading.index import Filter, Owned, runs, started
from agentspan.reading.rows import Rows
from agentspan.stored.status import ENDED, RunStatus

if TYPE_CHECKING:
    from agentspan.agents import AgentResult, AgentStatus, Event
    from agentspan.engine.records import RunSummary
    from agentspan.runtime.handle import AgentHandle
    from agentspan.runtime.runtime import AgentRuntime
    from agentspan.stored.usage import Usage

SOMEBODY_MUST_ACT = 8
HAND_BACK_AFTER = 3.0
"""Seconds that running tool calls get after Ctrl-C; what is not done then goes back into the queue."""

_target = click.argument("target", metavar="MODULE:AGENT")
_prompt = click.argument("prompt")
_context = click.option("--context", "given", type=JsonObject(), help="Values for tools, and for the state of the run.")


VERBS = {
    "inspect": (
        "agentspan.cli.inspect:inspect",
        "Show a run's timeline: every step with its model call, tools, attempts, workers, durations and tokens.",
    ),
    "watch": ("agentspan.cli.watch:watch", "Watch a run live, until its end."),
    "answer": (
        "agentspan.cli.calls:answer",
        "Give an open call the result that its tool would have given.",
    ),
    "skip": (
        "agentspan.cli.calls:skip",
        "Let a run go on without an open call; the model is told why.",
    ),
    "again": ("agentspan.cli.calls:again", "Have an open call tried again at once."),
    "effects": (
        "agentspan.cli.calls:effects",
        "List the calls of a run that may have had an effect, and how often.",
    ),
    "pause": ("agentspan.cli.pause:pause", "Let a run stand still; what runs now finishes."),
    "resume": ("agentspan.cli.pause:resume", "Let a paused run go on; with --agent, all paused runs of the agent."),
    "open": ("agentspan.cli.open:open_", "Print the address of a run in Conductor's user interface."),
    "prune": ("agentspan.cli.prune:prune", "Delete runs that ended long ago, with their segments."),
    "state": (
        "agentspan.cli.state:state",
        "Show the state that the calls of a run share, and which of them changed what.",
    ),
    "why": ("agentspan.cli.why:why", "Say what a run waits for, since when, and what to do."),
}


@click.group("agent", cls=Lazy, lazy=VERBS)
def agent_group() -> None:
    """Start runs of agents, watch them, read what they gave.

    MODULE:AGENT is `package.module:agent` or `file.py:agent`; `:agent` may be left out where there is only one.
    ID is a run's id, or the beginning of one.
    """


@agent_group.command("run", epilog=example('agentspan agent run support.py:agent "Where is order 17?"'))
@_target
@_prompt
@_context
@output_option
@click.pass_context
def run(context: click.Context, target: str, prompt: str, given: dict[str, Any] | None, output: Output) -> None:
    """Start a run, serve its tools here, and print its answer.

    What happens is shown on stderr; with -o jsonl the events go to stdout instead. PROMPT may be `-`: then it is
    read from stdin. Ctrl-C detaches: the run goes on, and its tools wait for a worker. The exit code is 3 when the
    run ends without an answer.
    """
    session = context.ensure_object(Session)
    agent = load_agent(target)
    show_logs(debug=session.debug)
    with session.runtime() as runtime, reserved_stdout() as stdout:
        tokens = sys.stderr.isatty() and output != "jsonl"
        events = runtime.stream(agent, _read(prompt), context=given, tokens=tokens)
        handle, spoken, seen = events.handle, Spoken(), 0
        try:
            say(_started(handle))
            for event in events:
                seen = event.seq
                if output == "jsonl":
                    emit(event.to_json(), output, stdout)
                else:
                    spoken.show(event)
        except KeyboardInterrupt:
            _detach(runtime, handle, agent, target, seen)
            context.exit(INTERRUPTED)
    if output != "jsonl":
        _show_result(handle, output)
    else:
        handle.result()


@agent_group.command("start", epilog=example('agentspan agent start support.py:agent "Where is order 17?"'))
@_target
@_prompt
@_context
@output_option
@click.pass_obj
def start(session: Session, target: str, prompt: str, given: dict[str, Any] | None, output: Output) -> None:
    """Start a run and return at once.

    Its tools are served by workers: `agentspan worker start MODULE:AGENT`. PROMPT may be `-`: then it is read from
    stdin.
    """
    agent = load_agent(target)
    handle = session.runtime().start(agent, _read(prompt), context=given, serve=False)
    if output == "text":
        click.echo(_started(handle))
    else:
        emit({"execution_id": handle.execution_id, "agent": agent.name, "status": "RUNNING"}, output)
    if agent.needs_worker:
        say(f"It needs a worker: agentspan worker start {target}")


@agent_group.command("status", epilog=example("agentspan agent status 7744cf11"))
@agent_id
@click.option(
    "--exit-status",
    is_flag=True,
    help="Exit with 3 when the run ended without an answer, with 8 when it stands still until somebody acts: "
    "resumes it, or starts a worker.",
)
@output_option
@click.pass_context
def status(context: click.Context, execution_id: str, exit_status: bool, output: Output) -> None:
    """Say what a run is doing, and what it waits for."""
    handle = handle_of(context, execution_id)
    found = handle.get_status()
    if output == "text":
        click.echo("\n".join(status_lines(found, handle.runtime.client.moment())))
    else:
        emit(found.to_json(), output)
    if exit_status:
        context.exit(_exit_code(found))


@agent_group.command("stream", epilog=example("agentspan agent stream 7744cf11 -o jsonl --from 12"))
@agent_id
@click.option("--from", "from_", type=click.IntRange(0), default=0, metavar="SEQ", help="Begin after this event.")
@output_option
@click.pass_context
def stream(context: click.Context, execution_id: str, from_: int, output: Output) -> None:
    """Show a run's events, from its first one until its end.

    It can be stopped and started at any time, from any machine; the events are the same. The exit code is 3 when
    the run ends without an answer.
    """
    handle = handle_of(context, execution_id)
    failures: list[Event] = []
    events = _noting_failure(handle.stream(from_), failures)
    if output == "text":
        for event in events:
            show_event(event)
    else:
        emit_all((event.to_json() for event in events), output)
    if failures:
        context.exit(RUN_ENDED_BADLY)


@agent_group.command("list", epilog=example("agentspan agent list --status RUNNING --since 1h"))
@agent_name("runs")
@run_status(get_args(RunStatus), "in this state")
@click.option("--metadata", type=KeyValue(), multiple=True, help="Only runs of agents whose metadata has this value.")
@click.option("--since", type=Moment(), help="Only runs that began within this time, or after this moment.")
@click.option("--before", type=Moment(), help="Only runs that began longer ago than this, or before this moment.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which ones, --limit on a page.")
@click.option("--usage", "everywhere", is_flag=True, help="Read tokens and cost of runs that are not over, too.")
@output_option
@click.pass_obj
def list_runs(
    session: Session,
    agent: str | None,
    statuses: tuple[str, ...],
    metadata: tuple[tuple[str, str], ...],
    since: When | None,
    before: When | None,
    limit: int,
    page: int,
    everywhere: bool,
    output: Output,
) -> None:
    """List runs of agents, the newest first, and what they wait for where that is a person.

    The server's index tells the tokens and the cost of runs that ended with an answer. --usage reads those of the
    others, a few requests for each.

    TIME is an age such as 30m, 12h, 7d or 2w, or a moment such as 2026-11-01 or 2026-11-01T08:30 (UTC unless it names
    an offset).
    """
    runtime = session.runtime()
    client = runtime.client
    bounds = {name: moment(when, client) for name, when in (("since", since), ("before", before)) if when is not None}
    wanted = Filter(agent=agent, statuses=statuses, metadata=metadata, **bounds)
    first = (page - 1) * limit
    owned = Owned(client)
    found = list(islice(runs(client, wanted, owned), first, first + limit + 1))
    now = client.moment()
    more, found = len(found) > limit, found[:limit]
    rows = Rows(owned)
    used = {run.workflow_id: rows.used(run) or (everywhere and _used(runtime, run)) or None for run in found}
    asks = asking_by_run(client, found, owned)
    asking = {run.workflow_id: asks.get(run.workflow_id, []) for run in found}
    if output != "text":
        rows_of = {each: _runs.asking_as_json(asking[each]) | _runs.usage_as_json(used[each]) for each in used}
        emit_all((_runs.as_json(run, now) | rows_of[run.workflow_id] for run in found), output)
    elif not found:
        say("There are no such runs.")
    else:
        shown = [
            (
                *(run.workflow_id, run.workflow_type, run.status, _runs.asking_cell(asking[run.workflow_id])),
                *(_ago(run, now), duration(_runs.elapsed(run, now))),
                *_runs.usage_cells(used[run.workflow_id]),
            )
            for run in found
        ]
        names = ("ID", "AGENT", "STATUS", "WAITS FOR", "STARTED", "DURATION", "TOKENS", "COST")
        click.echo("\n".join(table(names, shown)))
    if more:
        say(f"There are more: --page {page + 1}")


@agent_group.command("result", epilog=example("agentspan agent result 7744cf11 --wait"))
@agent_id
@click.option("--wait", is_flag=True, help="Wait for the end of the run.")
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait for it, but no longer than this.")
@output_option
@click.pass_context
def result(context: click.Context, execution_id: str, wait: bool, timeout: float | None, output: Output) -> None:
    """Print the answer of a run.

    The exit code is 3 when the run ended without one, and 1 when it is not over.
    """
    patience = timeout if timeout is not None or wait else 0.0
    _show_result(handle_of(context, execution_id), output, patience)


@agent_group.command("cancel", epilog=example('agentspan agent cancel 7744cf11 --reason "ordered twice"'))
@agent_id
@click.option("--reason", default="cancelled on the command line", show_default=True, help="Kept with the run.")
@output_option
@click.pass_context
def cancel(context: click.Context, execution_id: str, reason: str, output: Output) -> None:
    """End a run; tools that run now are told."""
    handle = handle_of(context, execution_id)
    handle.cancel(reason)
    confirm("CANCELLED", handle.execution_id, output)


@agent_group.command("stop", epilog=example("agentspan agent stop 7744cf11"))
@agent_id
@output_option
@click.pass_context
def stop(context: click.Context, execution_id: str, output: Output) -> None:
    """Have a run end with an answer once its turn is over; where a worker calls the model."""
    handle = handle_of(context, execution_id)
    handle.stop()
    confirm("STOPPING", handle.execution_id, output)


@agent_group.command("retry", epilog=example("agentspan agent retry 7744cf11"))
@agent_id
@output_option
@click.pass_context
def retry(context: click.Context, execution_id: str, output: Output) -> None:
    """Let a failed run go on at the very call that failed; nothing that finished is done again."""
    handle = handle_of(context, execution_id)
    handle.retry()
    confirm("RETRIED", handle.execution_id, output)


@agent_group.command("compile", epilog=example("agentspan agent compile support.py:agent"))
@_target
@output_option
def compile_(target: str, output: Output) -> None:
    """Print the Conductor definitions an agent is compiled to. It needs no server.

    Where something that an agent has needs a worker which calls its model, stderr says what.
    """
    agent = placed(load_agent(target), None)
    definition = compile_agent(agent)
    for name, who in told(agent).items():
        if ":" in who:
            say(f"The model of {name} is called by a {who}.")
    if output == "jsonl":
        emit_all((*definition.at_version(1), *definition.tasks), output)
    else:
        click.echo(definition.to_json(), nl=False)


def _read(prompt: str) -> str:
    return sys.stdin.read().strip() if prompt == "-" else prompt


def _started(handle: AgentHandle) -> str:
    return f"STARTED  execution_id={handle.execution_id}"


def _detach(runtime: AgentRuntime, handle: AgentHandle, agent: Agent, target: str, seen: int) -> None:
    runtime.shutdown(HAND_BACK_AFTER)
    say("\nDetached. The run is not cancelled: it goes on, on the server.")
    say(f"  agentspan agent status {handle.execution_id}")
    say(f"  agentspan agent stream {handle.execution_id} --from {seen}")
    if agent.needs_worker:
        say(f"  agentspan worker start {target}    serves its tools again")


def _show_result(handle: AgentHandle, output: Output, timeout: float | None = None) -> None:
    try:
        found: AgentResult[Any] = handle.result(timeout)
    except ExecutionError:
        if output != "text":  # a script wants to read what ended, too
            emit(handle.get_status().to_json(), output)
        raise
    if output == "text":
        answer(found.to_json()["output"])
    else:
        emit(found.to_json(), output)


def _used(runtime: AgentRuntime, run: RunSummary) -> Usage | None:
    try:
        return runtime.get_status(run.workflow_id).usage
    except NotFound:  # somebody has deleted it meanwhile
        return None


def _noting_failure(events: Any, failures: list[Event]) -> Iterator[Event]:
    for event in events:
        if event.type == "error":
            failures[:] = [event]
        elif event.type == "resumed":
            failures.clear()
        yield event


def _exit_code(status: AgentStatus) -> int:
    if status.status in ENDED:
        return 0 if status.status == "COMPLETED" else RUN_ENDED_BADLY
    return SOMEBODY_MUST_ACT if status.is_waiting else 0


def _ago(run: RunSummary, now: datetime) -> str:
    return f"{duration((now - started(run)).total_seconds())} ago"
