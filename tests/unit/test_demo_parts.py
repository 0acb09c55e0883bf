"""The demo's parts: its figures, its script, its book."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from agentspan.agents import ConfigError, Conflict, ToolContext
from agentspan.demo import analysis, ledger, script, stage
from agentspan.demo.agent import feedback_analyst
from agentspan.testing import ModelRequest, ToolCall, ToolResult, Turn


def test_the_data() -> None:
    found = analysis.entries()

    assert [entry.id for entry in found] == list(range(1, 61))
    assert [entry.date for entry in found] == sorted(entry.date for entry in found)
    assert {entry.rating for entry in found} == {1, 2, 3, 4, 5}
    assert len(Counter(entry.product for entry in found)) == 4
    assert [len(chunk) for chunk in analysis.chunks().values()] == [10] * 6


def test_the_report_is_what_the_data_says() -> None:
    """Counted here another way: over the whole, without chunks."""
    found = analysis.entries()
    report = analysis.merge(analysis.measure(number, chunk) for number, chunk in analysis.chunks().items())

    assert (report.chunks, report.count) == (6, 60)
    assert report.mean_rating == round(statistics.mean(entry.rating for entry in found), 2)
    assert report.trend == [statistics.mean(e.rating for e in chunk) for chunk in analysis.chunks().values()]
    for product, mean in report.products.items():
        assert mean == round(statistics.mean(entry.rating for entry in found if entry.product == product), 2)
    bad = [entry.text for entry in found if entry.rating <= 2]
    assert report.complaints == dict(Counter(topic for text in bad for topic in analysis.topics(text)).most_common())
    moods = [analysis.mood(entry.text) for entry in found]
    assert report.positive_share == round(100 * sum(m > 0 for m in moods) / 60)
    assert report.negative_share == round(100 * sum(m < 0 for m in moods) / 60)


@pytest.mark.parametrize(
    ("text", "mood", "topics"),
    [
        ("Great lamp, love it.", 2, []),
        ("Awful! The battery is dead.", -2, ["battery"]),
        ("It is a kettle.", 0, []),
        ("Leaks, and support is slow to refund.", -2, ["build quality", "support"]),
    ],
)
def test_moods_and_topics(text: str, mood: int, topics: list[str]) -> None:
    assert (analysis.mood(text), analysis.topics(text)) == (mood, topics)


def test_merging_refuses_nonsense() -> None:
    one = analysis.measure(1, analysis.chunks()[1])
    with pytest.raises(ValueError, match="no results"):
        analysis.merge([])
    with pytest.raises(ValueError, match="twice"):
        analysis.merge([one, one])


# ---- the script -------------------------------------------------------------------------------------------


def request(*exchanges: tuple[str, object]) -> ModelRequest:
    turns = [Turn("user", "What do they think?")]
    for number, (name, value) in enumerate(exchanges):
        call_id = f"call_{number}"
        turns.append(Turn("assistant", tool_calls=(ToolCall(call_id, name, {}),)))
        turns.append(Turn("tool", tool_results=(ToolResult(call_id, name, json.dumps(value)),)))
    return ModelRequest("openai", "m", "", tuple(turns), (), {}, {}, "f", 1)


def test_the_script_goes_on_from_what_the_tools_returned() -> None:
    measured = [asdict(analysis.measure(number, chunk)) for number, chunk in analysis.chunks().items()][:2]
    listed = ("list_chunks", {"result": [1, 2]})
    first = ("analyze_chunk", {"result": measured[0]})

    def asked(*exchanges: tuple[str, object]) -> tuple[str, dict[str, object]]:
        (call,) = script.reply(request(*exchanges)).tool_calls
        return call.name, call.arguments

    assert asked() == ("list_chunks", {})
    assert asked(listed) == ("analyze_chunk", {"chunk_id": 1})
    assert asked(listed, first) == ("analyze_chunk", {"chunk_id": 2})
    assert asked(listed, first, ("analyze_chunk", {"error": "no"})) == ("analyze_chunk", {"chunk_id": 2})
    both = (listed, first, ("analyze_chunk", {"result": measured[1]}))
    assert asked(*both) == ("aggregate_results", {"results": measured})


def test_the_scripts_report_depends_on_the_figures() -> None:
    report = asdict(analysis.merge(analysis.measure(n, chunk) for n, chunk in analysis.chunks().items()))
    text = script.reply(request(("aggregate_results", {"result": report}))).text
    other = script.reply(request(("aggregate_results", {"result": {**report, "mean_rating": 1.25}}))).text

    assert "Mean rating 3.47 of 5" in text
    assert "Best liked is the Trailmate Bag (3.86), least the Quiet Buds (2.75)." in text
    assert "Mean rating 1.25 of 5" in other


# ---- the book ---------------------------------------------------------------------------------------------


def test_the_book_tells_what_ran_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = tmp_path / "ledger.jsonl"
    monkeypatch.setenv(ledger.VARIABLE, str(book))

    def context(key: str, attempt: int = 1, run: str = "r") -> ToolContext:
        return ToolContext(
            idempotency_key=f"{run}/{key}", execution_id=run, agent="a", tool="t", call_id="", step=1, attempt=attempt
        )

    with ledger.noted(context("1"), "one"), ledger.noted(context("x", run="another"), "x"):
        pass
    died = ledger.noted(context("2"), "two")
    died.__enter__()
    assert [line.about for line in ledger.in_flight(ledger.read(book, "r"))] == ["two"]
    with ledger.noted(context("2", attempt=2), "two"):
        pass

    calls = ledger.calls(ledger.read(book, "r"))
    assert [(call.about, call.attempts) for call in calls] == [("one", (1,)), ("two", (1, 2))]


# ---- the stage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "environ", "name", "scripted"),
    [
        (None, {}, script.MODEL, True),
        (None, {"OPENAI_API_KEY": "k"}, "openai/gpt-4o-mini", False),
        (None, {"ANTHROPIC_API_KEY": "k"}, "anthropic/claude-sonnet-4-5", False),
        ("scripted", {"OPENAI_API_KEY": "k"}, script.MODEL, True),
        ("mistral/small", {"MISTRAL_API_KEY": "k"}, "mistral/small", False),
    ],
)
def test_the_choice_of_a_model(asked: str | None, environ: dict[str, str], name: str, scripted: bool) -> None:
    assert stage.choose_model(asked, environ) == stage.Model(name, scripted)


@pytest.mark.parametrize(("asked", "message"), [("gpt", "not a model"), ("openai/gpt-4o", "OPENAI_API_KEY")])
def test_a_model_that_cannot_be_used(asked: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stage.choose_model(asked, {})


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with stage.only_demo(tmp_path), pytest.raises(Conflict, match="Another demo"), stage.only_demo(tmp_path):
        pass
    with stage.only_demo(tmp_path):
        pass


def test_the_agent_offers_three_tools() -> None:
    assert [tool.name for tool in feedback_analyst.tools] == ["list_chunks", "analyze_chunk", "aggregate_results"]
    assert "context" not in str(feedback_analyst.tools[1].parameters)
