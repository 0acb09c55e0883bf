"""Steps of a run as HTML for notebooks: no script, and every text escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from agentspan.reading.timeline import Attempt, Step, ToolCall

_LONGEST = 300
_CELL = "text-align:left;vertical-align:top;padding:2px 8px"


def timeline_html(title: str, facts: Mapping[str, str], steps: Sequence[Step]) -> str:
    """A run's head and a table of its steps; whatever stands in it shows as text."""
    rows = "".join(_row(cells) for step in steps for cells in _rows(step))
    table = f"<table>{_row(('step', 'what', 'took', 'worker', 'result'), 'th')}{rows}</table>" if rows else ""
    told = "".join(f"<div><b>{_text(name)}</b> {_text(value)}</div>" for name, value in facts.items() if value)
    return f"<div><div><code>{_text(title)}</code></div>{told}{table}</div>"


def _rows(step: Step) -> Iterator[tuple[str, ...]]:
    model = step.model
    tokens = model.usage.told if model.prompt_tokens else ""
    said = model.answer if model.answer is not None else tokens
    yield str(step.number), model.model, _took(model.attempts), "", _troubles(model.attempts) or said
    for call in step.calls:
        arguments = ", ".join(f"{name}={_json(value)}" for name, value in call.args.items())
        worker = call.attempts[-1].worker if call.attempts else None
        yield "", f"{call.tool}({arguments})", _took(call.attempts), worker or "", _outcome(call)


def _outcome(call: ToolCall) -> str:
    if call.error is not None:
        return f"error: {call.error}"
    if call.attempts and call.attempts[-1].status == "done":
        return _json(call.result)
    return _troubles(call.attempts)


def _took(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return ""
    last = attempts[-1]
    took = f"{last.seconds:.2f} s" if last.seconds is not None else last.status
    return f"{took}, attempt {last.number}" if last.number > 1 else took


def _troubles(attempts: Sequence[Attempt]) -> str:
    """Why the latest attempt failed, while nothing better has come."""
    return f"error: {attempts[-1].error}" if attempts and attempts[-1].error else ""


def _row(cells: Sequence[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f'<{tag} style="{_CELL}">{_text(cell)}</{tag}>' for cell in cells) + "</tr>"


def _text(text: str) -> str:
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
