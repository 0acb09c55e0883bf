"""What a model said and thought, as a plan keeps it and as people are shown it."""

from __future__ import annotations

from datetime import UTC, datetime

from agentspan.agents import Attempt, ModelCall, ModelRetried, ModelSaid, ModelThought, PassedOver, Step
from agentspan.cli._events import line_of
from agentspan.cli.inspect import timeline_lines
from agentspan.stored.plan import Plan

NOW = datetime(2026, 11, 1, tzinfo=UTC)
WHERE = {"execution_id": "run", "seq": 2, "step": 1, "timestamp": NOW}


def test_a_plan_says_what_its_message_says() -> None:
    parts = [
        {"part_kind": "thinking", "content": "First."},
        {"part_kind": "thinking", "content": ""},  # its provider keeps it to itself
        {"part_kind": "thinking", "content": "Second."},
        {"part_kind": "text", "content": "I look."},
    ]
    result = {
        "mode": "one",
        "calls": [],
        "usage": {},
        "text": "I look.",
        "message": {"parts": parts},
        "passed_over": [{"model": "a/b", "error": "no"}],
    }
    said = Plan.of(result).said
    assert (said.text, said.thinking) == ("I look.", "First.\n\nSecond.")
    assert said.passed_over == (PassedOver(model="a/b", error="no"),)


def test_lines_of_events() -> None:
    assert line_of(ModelThought(text="Two\nsums.", **WHERE)) == "  ~ Two sums."
    assert line_of(ModelSaid(text="I add.", **WHERE)) == "  “ I add."
    assert line_of(ModelRetried(error="a/b: busy", attempt=1, **WHERE)) == "  ↻ model: attempt 1 failed: a/b: busy"
    said = ModelSaid(text="I add.", **WHERE)
    assert (said.content, said.to_json()["text"]) == ("I add.", "I add.")
    assert ModelRetried(error="busy", attempt=1, **WHERE).text is None


def test_lines_of_a_step() -> None:
    attempt = Attempt(number=1, status="done", scheduled=NOW, started=NOW, ended=NOW)
    model = ModelCall(
        model="c/d",
        attempts=(attempt,),
        text="I add.",
        thinking="Two sums.",
        passed_over=(PassedOver(model="a/b", error="busy"),),
    )
    step = Step(number=1, segment_id="segment", model=model)

    shown = [line.strip() for line in timeline_lines([step], NOW, 80)]

    assert shown[2:] == ["↻ a/b: busy", "~ Two sums.", "“ I add."]
    assert step.to_json()["model"]["passed_over"] == [{"model": "a/b", "error": "busy"}]
    plain = ModelCall(model="c/d", attempts=(attempt,))
    assert not {"text", "thinking", "passed_over"} & plain.to_json().keys()
