"""Events of a run as short lines for people."""

from __future__ import annotations

import json
from typing import Any

import click

from agentspan.agents import Event
from agentspan.cli._output import answer, say, shorten
from agentspan.cli._text import plain


def show_event(event: Event) -> None:
    """Print an event, and after the last one the answer."""
    click.echo(line_of(event))
    if event.type == "done":
        answer(event.output)


class Spoken:
    """Shows events on stderr as they come, and what a model says in between while it says it."""

    def __init__(self) -> None:
        self._speaking = False

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.type == "text_delta":
            click.echo(("" if self._speaking else "  … ") + plain(event.text or ""), err=True, nl=False)
            self._speaking = True
            return
        if self._speaking:
            click.echo(err=True)
            self._speaking = False
        say(line_of(event))


def line_of(event: Event) -> str:
    """One event on one line; behind the path of the agent whose it is, where another one has called that."""
    return f"{'  ' * len(event.path)}{'/'.join(event.path)}: {_line(event).strip()}" if event.path else _line(event)


def _line(event: Event) -> str:
    match event.type:
        case "step":
            return f"step {event.step}" + (f"  {event.agent}" if event.agent else "")
        case "error":
            return shorten(f"failed: {event.error}", 300)
        case "done":
            return "done"
        case "resumed":
            return f"  … {event.tool_name or 'model'}: goes on"
        case _:
            return "  " + shorten(_within_step(event))


def _within_step(event: Event) -> str:
    match event.type:
        case "tool_call":
            return f"→ {event.tool_name}({_arguments(event)})"
        case "tool_result":
            return f"← {event.tool_name}: {_text(event.result)}"
        case "tool_retry" | "model_retry":
            return f"↻ {event.tool_name or 'model'}: attempt {event.attempt} failed: {event.error}"
        case "thinking":
            return f"~ {event.text}"
        case "text_delta":
            return f"… {event.text}"
        case "text_void":
            return "… that is void: the model is asked again"
        case "message":
            return f"“ {event.text}"
        case "summary":
            return f"≡ {event.text}"
        case _:
            return _of_people_and_guards(event)


def _of_people_and_guards(event: Event) -> str:
    match event.type:
        case "waiting" if event.request_id is not None:
            return f"? {event.tool_name}: {event.error} Request {event.request_id}"
        case "budget":
            return f"$ {event.text}"
        case "handoff":
            return f"» {event.target}"
        case "decision":
            who = f" by {event.by}" if event.by else ""
            if event.action in ("extended", "finished"):
                return f"! {event.tool_name}: {event.text}{who and f' Decided{who}.'}"
            why = f": {event.text}" if event.text else ""
            instead = f", with {_arguments(event)}" if event.args is not None else ""
            return f"! {event.tool_name}: {event.action}{instead}{who}{why}"
        case "guardrail_pass":
            return f"✓ {event.guardrail_name} passes {_looked_at(event)}"
        case "guardrail_fail":
            return f"✗ {event.guardrail_name} refuses {_looked_at(event)} ({event.action}): {event.error}"
        case _:
            return f"… {event.tool_name}: {event.error}"


def _looked_at(event: Event) -> str:
    if event.tool_name is None:
        return "the prompt" if event.position == "input" else "the answer"
    return f"the {'arguments' if event.position == 'input' else 'result'} of {event.tool_name}"


def _arguments(event: Event) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in (event.args or {}).items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
