"""What scripts for another SDK import: it is there, under other paths too, or the error says what is in its place."""

from __future__ import annotations

from importlib import import_module

import pytest

import agentspan.agents
from agentspan.agents import Agent, Strategy, tool
from agentspan.agents.testing import MockEvent, assert_tool_called_with, assert_tool_not_used, mock_run

PATHS = {
    "agent": ["Agent", "Strategy", "scatter_gather"],
    "cli_config": ["CliConfig"],
    "code_execution_config": ["CodeExecutionConfig"],
    "exceptions": ["AgentAPIError", "AgentNotFoundError", "AgentspanError", "ConfigurationError", "TerminalToolError"],
    "guardrail": ["Guardrail", "GuardrailResult", "LLMGuardrail", "OnFail", "Position", "RegexGuardrail", "guardrail"],
    "handoff": ["OnTextMention", "OnToolResult"],
    "result": ["AgentEvent", "AgentHandle", "AgentResult", "AgentStream", "EventType", "Status", "TokenUsage"],
    "termination": ["MaxMessageTermination", "TerminationCondition", "TextMentionTermination"],
    "tool": ["ToolContext", "ToolDef", "agent_tool", "api_tool", "http_tool", "human_tool", "mcp_tool", "tool"],
}

ABSENT = {
    "agentspan.agents": "wait_for_message_tool",
    "agentspan.agents.code_executor": "DockerCodeExecutor",
    "agentspan.agents.ext": "UserProxyAgent",
    "agentspan.agents.gate": "TextGate",
    "agentspan.agents.handoff": "OnCondition",
    "agentspan.agents.openai_compat": "Runner",
    "agentspan.agents.semantic_memory": "SemanticMemory",
    "agentspan.agents.skill": "skill",
    "agentspan.agents.tool": "image_tool",
    "agentspan.agents.tracing": "is_tracing_enabled",
}


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in PATHS.items() for name in names])
def test_a_name_is_found_under_the_path_that_scripts_know(path: str, name: str) -> None:
    found = getattr(import_module(f"agentspan.agents.{path}"), name)
    assert found is getattr(agentspan.agents, name)


@pytest.mark.parametrize(("path", "name"), ABSENT.items())
def test_the_import_of_what_is_not_there_says_what_is(path: str, name: str) -> None:
    with pytest.raises(ImportError, match=rf"agentspan has no '{name}': .+ docs/migrating\.md has more\."):
        getattr(import_module(path), name)


def test_a_name_that_nobody_knows_is_an_attribute_that_is_not_there() -> None:
    assert not hasattr(agentspan.agents, "anything")


def test_strategies_are_equal_to_their_texts() -> None:
    assert [str(each) for each in Strategy] == list(Strategy)
    assert Strategy.ROUND_ROBIN == "round_robin"


def test_what_is_expected_of_a_result_can_be_said_in_functions() -> None:
    @tool
    def look(city: str) -> str:
        """Look a city up."""
        return city

    agent = Agent("guide", model="openai/gpt-4o", tools=[look])
    result = mock_run(agent, "Oslo?", [MockEvent.tool_call("look", {"city": "Oslo"}), MockEvent.done("Rain.")])
    assert_tool_called_with(result, "look", args={"city": "Oslo"})
    with pytest.raises(AssertionError, match="the tool look not to be called"):
        assert_tool_not_used(result, "look")
