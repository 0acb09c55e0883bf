"""Conditions by which runs come to an end, as values."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    FunctionTermination,
    MaxMessageTermination,
    StopMessageTermination,
    Termination,
    TerminationContext,
    TextMentionTermination,
    TokenUsageTermination,
    ToolCallTermination,
    Usage,
    compile_agent,
    tool,
)
from agentspan.stored.request import ModelRequest


@tool
def look(number: int) -> str:
    """Look."""
    return str(number)


def context(**values: Any) -> TerminationContext:
    return TerminationContext(**{"step": 2, "text": "", "tool_calls": ("look",), **values})


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        (TextMentionTermination("Done"), {"text": "all DONE"}, True),
        (TextMentionTermination("Done", case_sensitive=True), {"text": "all DONE"}, False),
        (TextMentionTermination("Done"), {}, False),
        (StopMessageTermination(), {"text": " TERMINATE\n"}, True),
        (StopMessageTermination(), {"text": "TERMINATE now"}, False),
        (ToolCallTermination("look"), {}, True),
        (ToolCallTermination("hear"), {}, False),
        (MaxMessageTermination(3), {"messages": 2}, False),
        (MaxMessageTermination(3), {"messages": 3}, True),
        (TokenUsageTermination(max_total_tokens=10), {"usage": Usage(6, 4)}, True),
        (TokenUsageTermination(max_prompt_tokens=7, max_completion_tokens=5), {"usage": Usage(6, 4)}, False),
        (FunctionTermination(lambda found: found.step == 2), {}, True),
    ],
    ids=str,
)
def test_a_condition_holds_or_not(condition: Termination, values: dict[str, Any], holds: bool) -> None:
    assert condition.should_terminate(context(**values)) is holds


def test_conditions_are_joined() -> None:
    yes, no = ToolCallTermination("look"), ToolCallTermination("hear")

    assert (yes | no).should_terminate(context())
    assert not (yes & no).should_terminate(context())
    assert ((no & no) | yes).should_terminate(context())
    joined = "(ToolCallTermination(tool_name='look') | ToolCallTermination(tool_name='hear') | "
    assert repr(yes | no | (yes & no)).startswith(joined)
    assert yes | no == yes | no
    assert yes | no != yes & no


def test_a_version_says_how_it_ends() -> None:
    def declared(**options: Any) -> ModelRequest:
        agent = Agent("a", model="openai/gpt-4o", model_place="worker", tools=[look], **options)
        return ModelRequest.of(compile_agent(agent).workflows[-1]["metadata"])

    bare = declared()
    assert not {"on_max_turns", "termination", "required_tools"} & bare.to_json().keys()
    ending = declared(termination=ToolCallTermination("look"), on_max_turns="answer", required_tools=["look"])
    assert (ending.termination, ending.on_max_turns, ending.required_tools) == (
        "ToolCallTermination(tool_name='look')",
        "answer",
        ("look",),
    )
    assert declared(stop_when=test_a_version_says_how_it_ends).termination == (
        "FunctionTermination(test_a_version_says_how_it_ends)"
    )
