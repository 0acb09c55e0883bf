"""Tests of an agent that ask no model and no server: the test writes what the model would have done.

    result = mock_run(agent, "Oslo?", [MockEvent.tool_call("forecast", {"city": "Oslo"}), MockEvent.done("Rain.")])
    expect(result).completed().used_tool("forecast", args={"city": "Oslo"}).output_contains("Rain")

`agentspan.testing` has the other kind: a real server, with a scripted model.
"""

from agentspan.agents.testing._expect import Expectation, expect
from agentspan.agents.testing._mock import MockEvent, ScriptedEvent, mock_run

__all__ = ["Expectation", "MockEvent", "ScriptedEvent", "expect", "mock_run"]
