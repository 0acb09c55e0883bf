"""`agentspan agent effects|answer|skip|again`: the calls of a run, and what a person does with them."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._output import F, Output, emit, emit_all, example, output_option, say, table
from agentspan.cli._text import flat
from agentspan.errors import InputError

if TYPE_CHECKING:
    from agentspan.reading.ledger import Effect
    from agentspan.runtime.handle import AgentHandle

_call = click.argument("call", metavar="CALL")


def _by(command: F) -> F:
    return click.option("--by", metavar="NAME", help="Who decides; kept with the run. Your name here unless given.")(
        command
    )


@click.command("effects", epilog=example("agentspan agent effects 7744cf11 --doubtful"))
@agent_id
@click.option("--doubtful", is_flag=True, help="Only calls whose effect may be there twice, or half.")
@output_option
@click.pass_context
def effects(context: click.Context, execution_id: str, doubtful: bool, output: Output) -> None:
    """List the calls of a run that may have had an effect, and how often.

    What was cut off has a line of its own. KEY is the call's idempotency key, by which the other side knows it.
    """
    found = [each for each in handle_of(context, execution_id).effects() if each.is_doubtful or not doubtful]
    if output != "text":
        emit_all((each.to_json() for each in found), output)
    elif found:
        click.echo("\n".join(_lines(found)))
    else:
        say("No call may have had an effect twice, or half." if doubtful else "No call may have had an effect.")


def _lines(found: list[Effect]) -> Iterator[str]:
    rows = [(str(each.step), flat(each.tool), each.state, str(each.tries), flat(each.key)) for each in found]
    heading, *lines = table(("STEP", "TOOL", "STATE", "TRIES", "KEY"), rows)
    yield heading
    for effect, line in zip(found, lines, strict=True):
        yield line
        for cut in effect.cut_off:
            by = f" on {flat(cut.worker)}" if cut.worker else ""
            yield f"      cut off{by} at {cut.at:%H:%M:%S} UTC: {flat(cut.why)}"


@click.command("answer", epilog=example("agentspan agent answer 7744cf11 charge '{\"paid\": true}'"))
@agent_id
@_call
@click.argument("value")
@click.option("--text", is_flag=True, help="VALUE is a text, and not JSON.")
@_by
@output_option
@click.pass_context
def answer(
    context: click.Context, execution_id: str, call: str, value: str, text: bool, by: str | None, output: Output
) -> None:
    """Give an open call the result that its tool would have given.

    The run goes on with it. CALL is the model's id of the call, the beginning of it, or its tool where only one of its
    calls is open. VALUE is JSON. A worker that is at the call is told that nobody waits for it.
    """
    handle = handle_of(context, execution_id)
    handle.answer_call(call, value if text else _parsed(value), by=_name(by))
    _confirm("ANSWERED", handle, call, output)


@click.command("skip", epilog=example('agentspan agent skip 7744cf11 charge --reason "paid in cash"'))
@agent_id
@_call
@click.option("--reason", default="skipped on the command line", show_default=True, help="What the model reads.")
@_by
@output_option
@click.pass_context
def skip(context: click.Context, execution_id: str, call: str, reason: str, by: str | None, output: Output) -> None:
    """Let a run go on without an open call; the model is told why.

    CALL is the model's id of the call, the beginning of it, or its tool where only one of its calls is open.
    """
    handle = handle_of(context, execution_id)
    handle.skip_call(call, reason, by=_name(by))
    _confirm("SKIPPED", handle, call, output)


@click.command("again", epilog=example("agentspan agent again 7744cf11 charge"))
@agent_id
@_call
@_by
@output_option
@click.pass_context
def again(context: click.Context, execution_id: str, call: str, by: str | None, output: Output) -> None:
    """Have an open call tried again at once.

    For one that hangs, or whose next try is far off. CALL is the model's id of the call, the beginning of it, or its
    tool where only one of its calls is open. The effect of the try before may be there all the same.
    """
    handle = handle_of(context, execution_id)
    handle.retry_call(call, by=_name(by))
    _confirm("TRIED AGAIN", handle, call, output)


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise InputError(f"VALUE is no JSON: {error}.", hint="For a text, add --text.") from error


def _name(given: str | None) -> str:
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return "a person"


def _confirm(done: str, handle: AgentHandle, call: str, output: Output) -> None:
    if output == "text":
        click.echo(f"{done}  execution_id={handle.execution_id}  call={flat(call)}")
    else:
        emit({"execution_id": handle.execution_id, "call": call, "done": done.lower().replace(" ", "_")}, output)
