"""`Agent(agents=…)` as scripts for another SDK write it, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, MaxMessageTermination, OnTextMention
from agentspan.testing import call, say
from agentspan.testing.plugin import Stage


def test_its_model_asks_the_others_and_answers(runtime: AgentRuntime, model: Stage) -> None:
    sales = Agent("sales", model=model.play([say("4 euros")]), instructions="You know prices.")
    care = Agent("care", model=model.play([say("mended")]), instructions="You mend things.")
    asks = [call("sales", request="What is tea?"), call("care", request="The cup is broken."), say("4 euros, mended.")]
    desk = Agent("front", model=model.play(asks), instructions="Ask who knows.", agents=[sales, care], max_turns=5)

    result = runtime.run(desk, "Tea, and my cup is broken.", timeout=60)

    assert result.output == "4 euros, mended."
    assert [(each.tool, each.result) for each in result.tool_calls] == [("sales", "4 euros"), ("care", "mended")]


@pytest.mark.usefixtures("scripted_openai")
def test_members_of_a_swarm_hand_over_by_what_they_say_both_ways(runtime: AgentRuntime, model: Stage) -> None:
    def script(*replies: Any) -> Any:
        return lambda request: replies[request.turn]

    reader = Agent("reader", model=model.play(script(say("READ. TO_WRITER"), None, say("Done."))), instructions="Read.")
    writer = Agent("writer", model=model.play(script(None, say("WROTE. TO_READER"))), instructions="Write.")
    swarm = Agent(
        "pair",
        model=reader.model,
        agents=[reader, writer],
        strategy="swarm",
        handoffs=[OnTextMention("TO_WRITER", target="writer"), OnTextMention("TO_READER", target="reader")],
        termination=MaxMessageTermination(10),
    )

    result = runtime.run(swarm, "Tell a tale.", timeout=60)

    assert result.output == "Done."
    assert [(each.agent, each.target) for each in result.events if each.type == "handoff"] == [
        ("reader", "writer"),
        ("writer", "reader"),
    ]
