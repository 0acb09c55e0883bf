"""`agentspan.agents.testing`: runs that a test writes down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from agentspan.agents import Agent, AgentResult, Event, EventType, ToolContext, ToolFailed, tool
from agentspan.agents.testing import Expectation, MockEvent, expect, mock_run


@tool
def forecast(city: str, days: int = 1) -> dict[str, Any]:
    """Weather."""
    if city == "Atlantis":
        raise ToolFailed("It is under water.")
    return {"city": city, "days": days}


@tool
async def book(city: str, context: ToolContext) -> str:
    """Book a room."""
    await asyncio.sleep(0)
    return f"{context.agent} booked {city} in step {context.step}"


agent = Agent("trips", model="openai/gpt-4o", tools=[forecast, book])


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing is sent")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_tools_run_and_nothing_else() -> None:
    result = mock_run(
        agent,
        "A room in Oslo?",
        [
            MockEvent.thinking("Where is it dry?"),
            MockEvent.tool_call("forecast", {"city": "Oslo", "days": 2}),
            MockEvent.tool_call("book", {"city": "Oslo"}),
            MockEvent.done("Booked."),
        ],
    )
    assert (result.output, result.status, result.steps, result.error) == ("Booked.", "COMPLETED", 3, None)
    assert [(each.tool, each.result) for each in result.tool_calls] == [
        ("forecast", {"city": "Oslo", "days": 2}),
        ("book", "trips booked Oslo in step 2"),
    ]
    assert [(event.seq, str(event.type), event.step) for event in result.events] == [
        (1, "thinking", 1),
        (2, "tool_call", 1),
        (3, "tool_result", 1),
        (4, "tool_call", 2),
        (5, "tool_result", 2),
        (6, "done", 3),
    ]
    assert [event.content for event in result.events] == ["Where is it dry?", None, None, None, None, "Booked."]
    assert result.messages == [
        {"role": "user", "message": "A room in Oslo?"},
        {"role": "assistant", "message": "Booked."},
    ]


async def _on_a_loop() -> AgentResult:
    return mock_run(agent, "?", [MockEvent.tool_call("book", {"city": "Rome"}), MockEvent.done("ok")])


def test_a_mocked_run_on_an_event_loop() -> None:
    expect(asyncio.run(_on_a_loop())).used_tool("book").completed()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"city": "Atlantis"}, "It is under water."),
        ({"city": "Oslo", "days": "many"}, "The arguments do not fit."),
        ({}, "- city: missing"),
    ],
)
def test_what_a_tool_refuses_is_told_as_its_result(args: dict[str, Any], error: str) -> None:
    result = mock_run(agent, "?", [MockEvent.tool_call("forecast", args), MockEvent.done("no")])
    (refused,) = result.tool_calls
    assert error in str(refused.error)
    assert error in str(next(event for event in result.events if event.type == "tool_result").error)


def test_a_result_in_the_script_is_taken_in_place_of_running_the_tool() -> None:
    called = mock_run(
        agent,
        "?",
        [
            MockEvent.tool_call("forecast", {"city": "Atlantis"}),
            MockEvent.tool_call("payment", {"amount": 3}),
            MockEvent.tool_result("payment", "paid"),
            MockEvent.tool_result("forecast", "sun"),
            MockEvent.done("ok"),
        ],
    )
    assert [(each.tool, each.result) for each in called.tool_calls] == [("forecast", "sun"), ("payment", "paid")]
    off = mock_run(agent, "?", [MockEvent.tool_call("forecast", {"city": "Oslo"})], auto_execute_tools=False)
    assert [each.result for each in off.tool_calls] == [None]
    with pytest.raises(AssertionError, match="calls the tool 'payment', and the agent trips has forecast, book"):
        mock_run(agent, "?", [MockEvent.tool_call("payment")])


def test_a_script_that_fails() -> None:
    result = mock_run(agent, "?", [MockEvent.error("The model is gone.")])
    assert (result.is_failed, result.error) == (True, "The model is gone.")
    expect(result).failed().status("FAILED").events_contain(EventType.ERROR, content="The model is gone.")


RESULT = mock_run(
    agent,
    "Oslo?",
    [
        MockEvent.guardrail_pass("polite"),
        MockEvent.guardrail_fail("brief", "Too long."),
        MockEvent.tool_call("forecast", {"city": "Oslo", "days": 2}),
        MockEvent.tool_call("forecast", {"city": "Rome"}),
        MockEvent.handoff("booker"),
        MockEvent.message("One moment."),
        MockEvent.waiting("A person decides."),
        MockEvent.done("Rain in Oslo"),
    ],
)

HOLD: list[Callable[[Expectation], Expectation]] = [
    lambda it: it.completed().no_errors().status("COMPLETED"),
    lambda it: it.used_tool("forecast").used_tool("forecast", args={"city": "Rome"}).did_not_use_tool("book"),
    lambda it: it.tool_call_order(["forecast", "forecast"]).tools_used_exactly(["forecast"]),
    lambda it: it.output_contains("Rain").output_contains("rain", case_sensitive=False).output_matches("^Rain.*o$"),
    lambda it: it.output_type(str).max_turns(3),
    lambda it: it.events_contain(EventType.TOOL_CALL, tool_name="forecast").events_contain("error", expected=False),
    lambda it: it.event_sequence([EventType.GUARDRAIL_PASS, "tool_result", EventType.WAITING, "done"]),
    lambda it: it.handoff_to("booker").agent_ran("booker").guardrail_passed("polite").guardrail_failed("brief"),
]


@pytest.mark.parametrize("holds", HOLD)
def test_what_holds_passes(holds: Callable[[Expectation], Expectation]) -> None:
    holds(expect(RESULT))


REFUSED: list[tuple[Callable[[Expectation], Expectation], str]] = [
    (lambda it: it.failed(), "Expected the run to be FAILED; found COMPLETED"),
    (lambda it: it.used_tool("book"), r"Expected the tool book to be called; found \['forecast', 'forecast'\]"),
    (lambda it: it.used_tool("forecast", args={"city": "Bonn"}), "a call of forecast with {'city': 'Bonn'}"),
    (lambda it: it.did_not_use_tool("forecast"), "not to be called"),
    (lambda it: it.tool_call_order(["forecast", "book"]), r"calls in the order \['forecast', 'book'\]"),
    (lambda it: it.tools_used_exactly(["book", "forecast"]), "exactly the tools"),
    (lambda it: it.output_contains("rain"), "'rain' in the answer; found Rain in Oslo"),
    (lambda it: it.output_matches("^Oslo"), "an answer that matches"),
    (lambda it: it.output_type(dict), "an answer that is a dict; found 'Rain in Oslo'"),
    (lambda it: it.events_contain("tool_call", tool_name="book"), "an event tool_call with {'tool_name': 'book'}"),
    (lambda it: it.events_contain("done", expected=False), "no event done"),
    (lambda it: it.event_sequence(["done", "tool_call"]), r"events in the order \['done', 'tool_call'\]"),
    (lambda it: it.handoff_to("writer"), r"a handoff to writer; found \['booker'\]"),
    (lambda it: it.agent_ran("writer"), "a handoff to writer"),
    (lambda it: it.guardrail_passed("brief"), r"guardrail_pass of brief; found \['polite'\]"),
    (lambda it: it.guardrail_failed("polite"), "guardrail_fail of polite"),
    (lambda it: it.max_turns(2), "2 steps at most; found 3"),
]


@pytest.mark.parametrize(("refused", "words"), REFUSED)
def test_what_does_not_hold_says_what_there_was(refused: Callable[[Expectation], Expectation], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        refused(expect(RESULT))


def test_an_error_is_no_part_of_a_run_without_errors() -> None:
    with pytest.raises(AssertionError, match=r"Expected no errors; found \['gone'\]"):
        expect(mock_run(agent, "?", [MockEvent.error("gone")])).no_errors()
    assert all(isinstance(event, Event) for event in RESULT.events)
