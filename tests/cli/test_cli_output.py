"""How runs look on the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentspan.agents import AgentStatus, MissingWorker, Reason, Usage
from agentspan.cli._events import line_of
from agentspan.cli._output import shorten, status_lines, table
from agentspan.reading.durations import duration
from agentspan.reading.events import Event, event_of

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (12.9, "12s"), (60, "1m00s"), (272, "4m32s"), (3850, "1h04m10s"), (360_000, "100h00m00s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def status(**values: object) -> AgentStatus:
    given: dict[str, object] = {
        "execution_id": "exec-f8a2c1",
        "agent": "analyst",
        "status": "RUNNING",
        "current_task": "analyze_chunk",
        "step": 847,
        "max_steps": 3000,
        "elapsed": 272.4,
        **values,
    }
    return AgentStatus(**given)  # type: ignore[arg-type]


def waits_for(missing: MissingWorker) -> tuple[Reason, ...]:
    return (Reason(kind="missing_worker", text="It needs a worker.", missing=missing),)


def test_the_status_line_is_that_of_the_contract() -> None:
    assert next(status_lines(status(), NOW)) == "RUNNING  step 847 / 3000  elapsed 4m32s"


def test_a_status_says_what_the_run_waits_for() -> None:
    missing = MissingWorker(
        tool="analyze_chunk",
        task_name="analyst.analyze_chunk",
        since=NOW - timedelta(seconds=70),
        last_poll=NOW - timedelta(seconds=75),
    )
    lines = list(status_lines(status(waits=waits_for(missing), usage=Usage(1200, 34)), NOW))

    assert lines[1:] == [
        "  agent    analyst",
        "  doing    analyze_chunk",
        "  waits    for a worker that serves analyze_chunk, since 1m10s: the last one asked 1m15s ago",
        "  tokens   1,200 in, 34 out",
    ]


def test_a_status_says_which_version_of_a_tool_does_not_fit() -> None:
    missing = MissingWorker(
        tool="book",
        task_name="hotel.book",
        since=NOW - timedelta(seconds=12),
        last_poll=NOW,
        mismatch="The worker w-1 serves an older version of the tool: version 1 of the agent, the run has 2.",
    )

    assert list(status_lines(status(waits=waits_for(missing)), NOW))[3:] == [
        "  waits    for a worker that serves book, since 12s: The worker w-1 serves an older version of the tool: "
        "version 1 of the agent, the run has 2.",
    ]


def test_a_failed_run_says_why() -> None:
    lines = list(status_lines(status(status="FAILED", error="no\nkey"), NOW))

    assert lines == [
        "FAILED  step 847 / 3000  elapsed 4m32s",
        "  agent    analyst",
        "  error    no key",
    ]


def event(kind: str, **values: object) -> Event:
    if "tool_name" in values:
        values = {"call_id": "call-1", **values}
    return event_of(kind, execution_id="x", seq=1, step=3, timestamp=NOW, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("happened", "line"),
    [
        (event("step"), "step 3"),
        (event("tool_call", tool_name="add", args={"a": 1, "b": "two"}), "  → add(a=1, b=two)"),
        (event("tool_result", tool_name="add", result={"sum": 3}), '  ← add: {"sum": 3}'),
        (event("tool_retry", tool_name="add", attempt=1, error="died"), "  ↻ add: attempt 1 failed: died"),
        (event("error", error="no key"), "failed: no key"),
        (event("done", output="3"), "done"),
    ],
)
def test_events_are_short_lines(happened: Event, line: str) -> None:
    assert line_of(happened) == line


def test_long_and_broken_text_becomes_one_short_line() -> None:
    assert shorten("a\n b\t c") == "a b c"
    assert shorten("x" * 200) == "x" * 99 + "…"


def test_table() -> None:
    assert list(table(("A", "LONGER"), [("one", "x"), ("two and more", "y")])) == [
        "A             LONGER",
        "one           x",
        "two and more  y",
    ]
