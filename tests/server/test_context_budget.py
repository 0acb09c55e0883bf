"""What a model is shown stays within the agent's budget, and what was left out is said."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from agentspan.agents import Agent, AgentRuntime, ContextBudget, tool
from agentspan.testing import ModelRequest, Reply, Turn, call, calls, say
from agentspan.testing.plugin import Stage

MAX = 5_000
TURNS = 40

_NOTE = re.compile(r"\[(\d+) earlier tool exchanges were left out to keep this conversation within its budget\.\]")
_AGAIN = Turn("user", "Please continue where you left off.")  # the server's own, while the last word is not the user's


@tool
def look(number: int) -> dict[str, object]:
    """Look at something of changing size."""
    return {"number": number, "text": "é" * (number * 37 % 150)}


def explore(request: ModelRequest) -> Reply:
    """One call a turn, and three together in each fifth turn."""
    seen = max((result.output["result"]["number"] for result in request.tool_results), default=0)
    step = seen // 10 + 1
    if step > TURNS:
        return say("done")
    together = [call("look", number=step * 10 + n) for n in (range(3) if step % 5 == 0 else range(1))]
    return calls(*together)


class Shown:
    """One request, taken apart."""

    def __init__(self, request: ModelRequest) -> None:
        prompt, *rest = request.messages
        self.prompt = prompt.text
        self.rest = rest[:-1] if rest and rest[-1] == _AGAIN else rest
        self.notes = [turn.text for turn in self.rest if turn.role == "user"]
        self.dropped = sum(int(found[1]) for note in self.notes if (found := _NOTE.fullmatch(note)))
        exchanges = self.rest[len(self.notes) :]
        self.steps = [turn.tool_results[0].output["result"]["number"] // 10 for turn in exchanges[1::2]]
        self.roles = [turn.role for turn in exchanges]
        self.size = sum(len(_text(turn).encode()) for turn in request.messages)


def _text(turn: Turn) -> str:
    calls = "".join(asked.name + (asked.text or "") for asked in turn.tool_calls)
    return turn.text + calls + "".join(result.text for result in turn.tool_results)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_long_run_stays_within_its_budget(runtime: AgentRuntime, model: Stage, provider: str) -> None:
    name = model.play(explore, provider)
    budget = ContextBudget(max_chars=MAX)
    agent = Agent(f"explorer_{provider}", model=name, tools=[look], instructions="Explore.", context=budget)

    result = runtime.run(agent, "Look around.", timeout=90)

    assert (result.output, result.steps) == ("done", TURNS + 1)
    asked = model.requests(name)
    shown = [Shown(request) for request in asked]
    assert {request.system for request in asked} == {"Explore."}
    assert {one.prompt for one in shown} == {"Look around."}
    for turn, one in enumerate(shown):
        assert one.steps == list(range(one.dropped + 1, turn + 1)), "the latest exchanges, in their order"
        assert one.roles == ["assistant", "tool"] * len(one.steps)
        assert len(one.notes) == (1 if one.dropped else 0)
        assert one.size <= MAX
    bites = [(before.dropped, after.dropped) for before, after in pairwise(shown) if after.dropped != before.dropped]
    assert 2 <= len(bites) <= TURNS / 4, "rare"
    assert min(after - before for before, after in bites) >= 4, "and large"
    extended = [after.rest[: len(before.rest)] == before.rest for before, after in pairwise(shown)]
    assert extended.count(False) == len(bites), "in between, a request begins with the one before"


def test_an_exchange_larger_than_the_budget_is_shown_once(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def page(number: int) -> dict[str, object]:
        """A page of 3000 characters."""
        return {"number": number * 10, "text": "x" * 3_000}

    def read(request: ModelRequest) -> Reply:
        seen = max((result.output["result"]["number"] for result in request.tool_results), default=0) // 10
        return call("page", number=seen + 1) if seen < 4 else say("done")

    name = model.play(read)
    agent = Agent("reader", model=name, tools=[page], context=ContextBudget(max_chars=1_000))

    runtime.run(agent, "Read.", timeout=60)

    shown = [Shown(request) for request in model.requests(name)]
    assert [(one.dropped, one.steps) for one in shown] == [(0, []), (0, [1]), (1, [2]), (2, [3]), (3, [4])]
    assert [len(one.notes) for one in shown] == [0, 0, 1, 1, 1]


def test_a_prompt_larger_than_the_budget_is_always_shown(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(lambda request: explore(request) if len(request.messages) < 3 else say("done"))
    agent = Agent("long_prompt", model=name, tools=[look], context=ContextBudget(max_chars=1_000))
    prompt = "Look! " * 500
    earlier = [{"role": "user", "message": "earlier " * 300}, {"role": "assistant", "message": "yes"}]

    result = runtime.run(agent, prompt.strip(), messages=earlier, timeout=60)

    assert result.output == "done"
    for request in model.requests(name):
        assert [turn.text for turn in request.messages[:3]] == [earlier[0]["message"], "yes", prompt.strip()]
