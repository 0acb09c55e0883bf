"""`agentspan request`: what agents ask people, and the decisions."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agentspan.cli._agent import agent_name
from agentspan.cli._app import Session, Verbs
from agentspan.cli._decision import decision_line
from agentspan.cli._json import JsonObject
from agentspan.cli._output import Output, emit, emit_all, example, output_option, say, shorten, table
from agentspan.cli._runs import find_request_id
from agentspan.cli._text import plain
from agentspan.errors import NotFound
from agentspan.reading.durations import duration
from agentspan.reading.people import deciding
from agentspan.schema.output import WRAPPED

if TYPE_CHECKING:
    from agentspan.declare.approval import Request
    from agentspan.runtime.runtime import AgentRuntime

_id = click.argument("request_id", metavar="ID")
_by = click.option("--by", metavar="NAME", help="Who decides.  [default: your user's name]")


@click.group("request", cls=Verbs)
def request_group() -> None:
    """Decide what agents ask people: approvals, questions, budgets, what guardrails refuse.

    A call that needs an approval, a question of an agent, a run whose budget is used up, or what a guardrail refuses
    waits until somebody decides, from any machine. ID is a request's id, or the beginning of one.
    """


@request_group.command("list", epilog=example("agentspan request list --agent support"))
@agent_name("requests")
@click.option("--run", metavar="ID", help="Only requests of this run, and of agents that it has called.")
@output_option
@click.pass_obj
def list_requests(session: Session, agent: str | None, run: str | None, output: Output) -> None:
    """List the requests that wait, oldest first."""
    runtime = session.runtime()
    found = runtime.requests(agent=agent, run=run)
    if output == "text":
        now = runtime.client.moment()
        if found:
            headings = ("ID", "AGENT", "ASKS", "SINCE", "DEADLINE", "ABOUT")
            click.echo("\n".join(table(headings, [_row(each, now) for each in found])))
        say("1 request waits." if len(found) == 1 else f"{len(found)} requests wait.")
    else:
        emit_all((each.to_json() for each in found), output)


@request_group.command("show", epilog=example("agentspan request show 7744cf11-…"))
@_id
@output_option
@click.pass_obj
def show(session: Session, request_id: str, output: Output) -> None:
    """Show a request: what is asked, what fits as an answer, and who has decided it."""
    runtime, request_id = _named(session, request_id)
    found = _found(runtime, request_id)
    if output == "text":
        click.echo("\n".join(_lines(found, runtime.client.moment())))
    else:
        emit(found.to_json(), output)


@request_group.command("approve", epilog=example("agentspan request approve 7744cf11-…"))
@_id
@click.option("--args", "args", type=JsonObject(), help="What is taken instead of what is shown: an object, all of it.")
@_by
@output_option
@click.pass_obj
def approve(session: Session, request_id: str, args: dict[str, Any] | None, by: str | None, output: Output) -> None:
    """Have a call made, or have taken what a guardrail refuses."""
    runtime, request_id = _named(session, request_id)
    runtime.approve(request_id, args=args, by=by or _user())
    _tell(runtime, request_id, "approved", output)


@request_group.command("reject", epilog=example("agentspan request reject 7744cf11-… --reason 'too much'"))
@_id
@click.option("--reason", metavar="TEXT", default="", help="Why; the model reads it where the run goes on.")
@_by
@output_option
@click.pass_obj
def reject(session: Session, request_id: str, reason: str, by: str | None, output: Output) -> None:
    """Have a call not made, leave a question without an answer, or end a run over its budget.

    What a guardrail refuses is not taken then: the model reads why, and of a prompt the run fails.
    """
    runtime, request_id = _named(session, request_id)
    runtime.reject(request_id, reason, by=by or _user())
    _tell(runtime, request_id, "rejected", output)


@request_group.command("answer", epilog=example("agentspan request answer 7744cf11-… 'The blue one.'"))
@_id
@click.argument("value", metavar="ANSWER")
@_by
@output_option
@click.pass_obj
def answer(session: Session, request_id: str, value: str, by: str | None, output: Output) -> None:
    """Answer a question: with a text, or with JSON where its answer has a type."""
    runtime, request_id = _named(session, request_id)
    typed = _found(runtime, request_id).answer_schema is not None
    runtime.answer(request_id, _json(value) if typed else value, by=by or _user())
    _tell(runtime, request_id, "answered", output)


@request_group.command("extend", epilog=example("agentspan request extend 7744cf11-… --cost 1.50"))
@_id
@click.option("--cost", type=float, metavar="USD", help="So many US dollars more.")
@click.option("--tokens", type=int, metavar="N", help="So many tokens more.")
@click.option("--input-tokens-per-request", type=int, metavar="N", help="Requests longer by so many tokens.")
@click.option("--calls", type=int, metavar="N", help="So many calls of tools more.")
@click.option("--turns", type=int, metavar="N", help="So many turns more.")
@click.option("--time", type=float, metavar="SECONDS", help="So many seconds more.")
@_by
@output_option
@click.pass_obj
def extend(session: Session, /, request_id: str, by: str | None, output: Output, **more: Any) -> None:
    """Let a run use more than its budget."""
    runtime, request_id = _named(session, request_id)
    runtime.extend(request_id, by=by or _user(), **more)
    _tell(runtime, request_id, "extended", output)


@request_group.command("finish", epilog=example("agentspan request finish 7744cf11-…"))
@_id
@_by
@output_option
@click.pass_obj
def finish(session: Session, request_id: str, by: str | None, output: Output) -> None:
    """Have a run whose budget is used up end with an answer, which its model gives without tools."""
    runtime, request_id = _named(session, request_id)
    runtime.finish(request_id, by=by or _user())
    _tell(runtime, request_id, "finished: the model answers with what there is", output)


def _named(session: Session, given: str) -> tuple[AgentRuntime, str]:
    """The server, and the id of the request that `given` names on it."""
    runtime = session.runtime()
    return runtime, find_request_id(runtime, given)


def _tell(runtime: AgentRuntime, request_id: str, what: str, output: Output) -> None:
    if output == "text":
        say(f"Request {request_id} is {what}.")
    else:
        emit(_found(runtime, request_id).to_json(), output)


def _found(runtime: AgentRuntime, request_id: str) -> Request:
    found = runtime.request(request_id)
    if found is None:
        raise NotFound(f"Request {request_id} asks nobody.", hint="No person is asked yet, or there was no need to.")
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # this user has no name
        return None


def _row(request: Request, now: datetime) -> tuple[str, ...]:
    asks = f"{request.tool}?" if request.kind == "approval" else request.tool
    about = shorten(plain(json.dumps(request.args, ensure_ascii=False)), 60)
    return request.id, request.agent, asks, _ago(request.asked, now), _left(request.due, now), about


def _ago(moment: datetime | None, now: datetime) -> str:
    return f"{duration(max(0.0, (now - moment).total_seconds()))} ago" if moment else ""


def _left(moment: datetime | None, now: datetime) -> str:
    return f"in {duration(max(0.0, (moment - now).total_seconds()))}" if moment else "none"


def _lines(request: Request, now: datetime) -> Iterator[str]:
    yield f"{request.id}  {request.kind}  {request.status}"
    yield f"  agent     {request.agent}, run {request.execution_id}, step {request.step}"
    what = "looks at" if request.kind == "guardrail" else "tool    "
    yield f"  {what}  {plain(request.tool)}: {plain(request.description)}"
    yield f"  about     {plain(json.dumps(request.args, ensure_ascii=False))}"
    for guard in request.guardrails:
        yield f"  refused   by the guardrail {plain(guard.name)}: {plain(guard.message)}"
    yield f"  fits      {plain(json.dumps(_fitting(request), ensure_ascii=False))}"
    yield f"  asked     {_ago(request.asked, now)}"
    if request.decision is not None:
        yield f"  decision  {decision_line(request.decision, request.kind)}"
        return
    if request.due is not None:
        default = plain(json.dumps(request.default, ensure_ascii=False))
        yield f"  deadline  {_left(request.due, now)}, then {default}"
    if request.status == "waiting":
        yield from (f"  next      {plain(command)}" for command in deciding(request))


def _fitting(request: Request) -> dict[str, Any]:
    """The JSON Schema of what may be given: other arguments, an extension, or an answer as it is typed."""
    if request.kind != "question":
        return request.schema
    schema = request.answer_schema or {"type": "string"}
    properties = schema.get("properties", {})
    return dict(properties[WRAPPED]) if list(properties) == [WRAPPED] else schema
