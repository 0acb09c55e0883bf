"""`dataclasses.replace` makes a variant of what is declared: with nothing changed, it is the same."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

import pytest

from agentspan.agents import (
    Agent,
    Approval,
    Budget,
    CallbackHandler,
    CliConfig,
    CodeExecutionConfig,
    ContextBudget,
    FunctionTermination,
    Guardrail,
    LLMGuardrail,
    MaxMessageTermination,
    ModelSettings,
    OnTextMention,
    OnToolResult,
    Price,
    RateLimit,
    RegexGuardrail,
    Retry,
    StateTemplate,
    Team,
    TextMentionTermination,
    TokenUsageTermination,
    ToolCallTermination,
    agent_tool,
    handoff,
    http_tool,
    human_tool,
    tool,
    toolset,
)
from agentspan.control.registry import Registering
from agentspan.declare.called import all_around


@dataclass
class Notes:
    city: str = ""


@tool(approval=Approval(lambda count: count > 3, deadline=9), guardrails=[RegexGuardrail("x", position="input")])
def look(count: int) -> int:
    """Look."""
    return count


def is_fine(text: str) -> bool:
    return True


quiet = RegexGuardrail(["a+", "b"], mode="allow", on_fail="raise", name="quiet", message="no", position="input")
billing = Agent("billing", model="openai/a", description="Pays.", model_place="worker", state_type=Notes)
helper = Agent("helper", model="openai/a", description="Helps.", state_type=Notes, model_place="worker", tools=[look])
pair = Team("pair", [Agent("one", model="openai/a"), Agent("two", model="openai/a")], description="Two.")
crew = Team(
    "crew", [replace(helper, name="left"), replace(billing, name="right")], strategy="swarm", description="Both."
)
full: Agent[Any] = Agent(
    "full",
    model=["openai/a", "openai/b"],
    instructions=StateTemplate("In {city}."),
    instructions_each="turn",
    tools=[look, agent_tool(helper, max_turns=3, state="shared"), agent_tool(pair), agent_tool(crew)],
    model_settings=ModelSettings(temperature=0, prices={"openai/a": Price(input=1, output=2)}),
    model_retry=Retry(4),
    context=ContextBudget(summarise=True),
    model_place="worker",
    output_type=int,
    output_retries=1,
    on_request=print,
    guardrails=[quiet, Guardrail(is_fine), LLMGuardrail("openai/a", "Be kind.")],
    on_max_turns="answer",
    state_type=Notes,
    dependencies={"a": 1},
    metadata={"team": "x"},
    hooks=[CallbackHandler()],
    budget=Budget(tokens=1000),
    handoffs=[handoff(billing, when=OnTextMention("money"))],
    termination=TextMentionTermination("stop") | MaxMessageTermination(9),
    required_tools=["look"],
    timeout=60,
)

VALUES = {
    "agent": full,
    "tool": look,
    "agent_tool": agent_tool(helper, state="shared", approval=True),
    "team_tool": agent_tool(pair),
    "human_tool": human_tool("ask", "Ask.", answer=int),
    "human_tool of a schema": human_tool(
        "ask", "Ask.", input_schema={"type": "object", "properties": {"a": {"type": "string"}}}
    ),
    "http_tool": http_tool(
        "get",
        "Get.",
        "http://127.0.0.1:9/{what}",
        input_schema={"type": "object", "properties": {"what": {"type": "string"}}},
    ),
    "external": tool(look.function, name="outer", external=True),
    "toolset": toolset([look, agent_tool(pair)], prefix="my_", approval=True)[1],
    "handoff": handoff(billing, input_type=Notes),
    "on_tool_result": handoff(billing, when=OnToolResult("look", "x")),
    "approval": Approval(deadline=3, default="approve"),
    "guardrail": Guardrail(is_fine, position="input", on_fail="human", deadline=9),
    "regex": quiet,
    "model": LLMGuardrail("openai/a", "Be kind.", on_fail="fix", max_tokens=9),
    "retry": Retry(3, delay=2),
    "rate_limit": RateLimit(3, 9),
    "budget": Budget(cost=1.5, deadline=9, default="cancel"),
    "context": ContextBudget(summarise=True),
    "settings": ModelSettings(max_tokens=9),
    "price": Price(input=1, output=2, cached=0.5),
    "template": StateTemplate("{city}"),
    "condition": ToolCallTermination("look") & TokenUsageTermination(max_total_tokens=9),
    "function": FunctionTermination(bool),
    "commands": CliConfig(allowed_commands=["ls"]),
    "code": CodeExecutionConfig(),
}


@pytest.mark.parametrize("what", VALUES)
def test_a_variant_without_a_change_is_the_same(what: str) -> None:
    value = VALUES[what]
    assert is_dataclass(value)
    assert not isinstance(value, type)
    same = replace(value)
    assert same == value
    for field in fields(value):
        assert type(getattr(same, field.name)) is type(getattr(value, field.name)), field.name


def test_a_variant_of_a_guardrail_looks_for_what_it_says_itself() -> None:
    other = replace(quiet, patterns="c", mode="block", message="c is not to be said")
    assert (other.func("abc").passed, other.func("ab").passed) == (False, True)
    assert quiet.func("ab").passed
    assert other != quiet
    assert len({quiet, replace(quiet), other}) == 2


def test_all_agents_around_an_agent_are_placed() -> None:
    made = Registering(cast("Any", None), "worker").placed(full)

    around = [each for each in all_around(made) if not isinstance(each, Team)]
    assert {each.name for each in around} == {"billing", "helper", "one", "two", "left", "right"}
    assert {each.model_place for each in around} == {"worker"}
    assert made == replace(full, tools=made.tools)
