"""`agentspan agent inspect`: what happened in each step of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._decision import decision_line
from agentspan.cli._output import Output, emit, emit_all, example, output_option, status_lines, width
from agentspan.cli._text import cut, flat
from agentspan.reading.beside import asked_before_steps
from agentspan.reading.durations import brief
from agentspan.reading.requests import asking

if TYPE_CHECKING:
    from agentspan.declare.approval import Request
    from agentspan.reading.timeline import Attempt, Step, ToolCall


@click.command("inspect", epilog=example("agentspan agent inspect 7744cf11 --last 5"))
@agent_id
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N steps: quicker for a long run.")
@output_option
@click.pass_context
def inspect(context: click.Context, execution_id: str, last: int | None, output: Output) -> None:
    """Show a run's timeline: every step with its model call, tools, attempts, workers, durations and tokens.

    Arguments and results are cut to the width of the terminal; -o json has them whole.
    """
    handle = handle_of(context, execution_id)
    client = handle.runtime.client
    status, steps = handle.get_status(), handle.steps(last)
    if output == "jsonl":
        emit_all((step.to_json() for step in steps), output)
        return
    asked = list(asked_before_steps(client, handle.execution_id))
    if output == "text":
        now = client.moment()
        for line in (*status_lines(status, now), *timeline_lines(steps, now, width(), asked)):
            click.echo(line)
    else:
        more = {"requests": [request.to_json() for request in asked]} if asked else {}
        emit({**status.to_json(), "steps": [step.to_json() for step in steps], **more}, output)


def timeline_lines(steps: Iterable[Step], now: datetime, columns: int, asked: Sequence[Request] = ()) -> Iterator[str]:
    """Steps for people; each line fits into `columns`.

    Args:
        steps: The steps.
        now: The server's time.
        columns: The width.
        asked: What people are, or were, asked about a turn that has not begun.
    """
    for step in steps:
        yield ""
        yield from (cut(line, columns) for line in _step_lines(step, now))
    if asked:
        yield ""
    for request in asked:
        yield from (cut(line, columns) for line in _beside_lines(request, now))


def _step_lines(step: Step, now: datetime) -> Iterator[str]:
    model = step.model
    tokens = f"  {model.usage.told}" if model.prompt_tokens else ""
    begun = model.attempts[0].scheduled.strftime("%H:%M:%S")
    who = f"  {step.agent}" if step.agent else ""
    yield f"step {step.number}{who}  {begun} UTC  {flat(model.model)}  {_state(model.attempts[-1], now)}{tokens}"
    if step.summary is not None:
        yield f"    ≡ {flat(step.summary)}"
    yield from _failures(model.attempts)
    for passed in model.passed_over:
        yield f"    ↻ {flat(passed.model)}: {flat(passed.error)}"
    if model.thinking:
        yield f"    ~ {flat(model.thinking)}"
    if model.text:
        yield f"    “ {flat(model.text)}"
    if model.answer is not None:
        yield f"    {flat(model.answer)}"
    for call in step.calls:
        yield from _call_lines(call, now)
    for request in step.requests:
        yield from _beside_lines(request, now)


def _call_lines(call: ToolCall, now: datetime) -> Iterator[str]:
    state = f"  {_state(call.attempts[-1], now)}" if call.attempts else ""
    # How it went stands before the arguments, which may be long.
    yield f"  → {flat(call.tool)}{state}  {_arguments(call.args)}".rstrip()
    if call.request is not None:
        yield from _request_lines(call.request, now)
    final = call.error is not None and bool(call.attempts) and call.attempts[-1].error == call.error
    yield from _failures(call.attempts[:-1] if final else call.attempts)
    if call.error is not None:
        yield f"    ← error: {flat(call.error)}"
    elif _is_answered(call.request) or (call.attempts and call.attempts[-1].status == "done"):
        yield f"    ← {_value(call.result)}"
    if call.review is not None:
        yield from _beside_lines(call.review, now, "    ")


def _request_lines(request: Request, now: datetime) -> Iterator[str]:
    if request.status == "waiting":
        since = f" for {brief((now - request.asked).total_seconds())}" if request.asked else ""
        yield f"    ? waits for a person{since}: agentspan request show {request.id}"
    elif request.decision is not None:
        yield f"    ! {decision_line(request.decision, request.kind)}{_at(request)}"


def _beside_lines(request: Request, now: datetime, margin: str = "  ") -> Iterator[str]:
    """A request that is no call of the model: what is asked, and what came of it."""
    yield f"{margin}? {flat(asking(request))}"
    yield from _request_lines(request, now)


def _at(request: Request) -> str:
    return f", {request.decided.strftime('%H:%M:%S')} UTC" if request.decided else ""


def _is_answered(request: Request | None) -> bool:
    decision = None if request is None or request.kind != "question" else request.decision
    return decision is not None and decision.approved


def _state(attempt: Attempt, now: datetime) -> str:
    by = f" on {flat(attempt.worker)}" if attempt.worker else ""
    match attempt.status:
        case "waiting":
            return f"waiting for {brief((now - attempt.scheduled).total_seconds())}"
        case "running":
            begun = attempt.started or attempt.scheduled
            return f"running for {brief((now - begun).total_seconds())}{by}"
        case _:
            took = brief(attempt.seconds) if attempt.seconds is not None else "done"
            tries = f", attempt {attempt.number}" if attempt.number > 1 else ""
            return f"{took}{by}{tries}"


def _failures(attempts: tuple[Attempt, ...]) -> Iterator[str]:
    for attempt in attempts:
        if attempt.status == "failed" and attempt.error:
            took = f" after {brief(attempt.seconds)}" if attempt.seconds is not None else ""
            by = f" on {flat(attempt.worker)}" if attempt.worker else ""
            yield f"    ↻ attempt {attempt.number} failed{took}{by}: {flat(attempt.error)}"


def _arguments(args: dict[str, Any]) -> str:
    return ", ".join(f"{flat(name)}={_value(value)}" for name, value in args.items())


def _value(value: Any) -> str:
    return flat(json.dumps(value, ensure_ascii=False))
