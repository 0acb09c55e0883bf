"""Agents that other agents call: a run inside of a run, with its events, limits, requests, usage and failures."""

from __future__ import annotations

import threading
from itertools import product
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    DefinitionError,
    ExecutionFailed,
    ExecutionTerminated,
    ModelSettings,
    Retry,
    ToolContext,
    agent_tool,
    tool,
)
from agentspan.engine.client import Conductor
from agentspan.reading.tree import below as all_below
from agentspan.testing import call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

PLACES = ("server", "worker")


pytestmark = pytest.mark.usefixtures("scripted_openai")


class Library:
    """What was looked up, by the calls' keys, and by whom."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.contexts: list[Any] = []

    def researcher(self, played: str, place: Any, **options: Any) -> Agent[str]:
        @tool(approval=options.pop("approval", None))
        def look(topic: str, context: ToolContext) -> str:
            """Look something up."""
            self.found[context.idempotency_key] = topic
            self.contexts.append(dict(context.context))
            return f"all about {topic}"

        return Agent(
            "researcher", model=played, tools=[look], description="Looks things up.", model_place=place, **options
        )


def told(model: Stage, played: str) -> list[Any]:
    results = [turn.tool_results for turn in model.requests(played)[-1].messages if turn.tool_results][-1]
    found = [result.output for result in results]
    return [each["result"] if isinstance(each, dict) and "result" in each else each for each in found]


@pytest.mark.parametrize(("outer", "inner"), [*product(PLACES, PLACES)])
def test_an_agent_is_asked_and_answers(runtime: AgentRuntime, model: Stage, outer: Any, inner: Any) -> None:
    below = model.play([call("look", topic="tea"), say("Tea is a plant.")])
    above = model.play([call("researcher", request="What is tea?"), say("A plant.")])
    library = Library()
    boss = Agent("boss", model=above, tools=[agent_tool(library.researcher(below, inner))], model_place=outer)

    handle = runtime.start(boss, "Tea?", context={"who": "ann"})
    result = handle.result(timeout=60)

    assert result.output == "A plant."
    assert told(model, above) == ["Tea is a plant."]
    assert model.requests(below)[0].prompt == "What is tea?"
    assert list(library.found.values()) == ["tea"]
    assert library.contexts == [{"who": "ann"}]
    assert [(event.type, event.path, event.step) for event in handle.stream()] == [
        ("step", (), 1),
        ("tool_call", (), 1),
        ("step", ("researcher",), 1),
        ("tool_call", ("researcher",), 1),
        ("tool_result", ("researcher",), 1),
        ("step", ("researcher",), 2),
        ("tool_result", (), 1),
        ("step", (), 2),
        ("done", (), 2),
    ]
    (called,) = handle.steps()[0].calls
    assert called.execution_id is not None
    own = runtime.handle(called.execution_id)
    assert own.get_status().agent == "researcher"
    spent = sum(request.tokens for played in (above, below) for request in model.requests(played))
    assert result.usage.prompt_tokens == spent == handle.get_status().usage.prompt_tokens


@pytest.mark.parametrize("place", PLACES)
def test_agents_are_asked_beside_each_other(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    def reply(request: Any) -> Any:
        return say(f"On {request.prompt}.") if request.turn else call("look", topic=request.prompt)

    below = model.play(reply)
    turn = calls(*(call("researcher", request=topic) for topic in ("tea", "ink", "bread")), call("researcher"))
    above = model.play([turn, *[call("researcher", request="more")] * 8, say("Done.")])
    library = Library()
    boss = Agent("boss", model=above, tools=[agent_tool(library.researcher(below, place))], model_place=place)

    handle = runtime.start(boss, "Go.")
    result = handle.result(timeout=90)

    assert result.output == "Done."
    first = next(turn.tool_results for turn in model.requests(above)[-1].messages if turn.tool_results)
    assert ["On tea." in each.text for each in first] == [True, False, False, False]
    assert "what is asked" in first[3].text
    assert sorted(library.found.values()) == sorted(["tea", "ink", "bread", *["more"] * 8])
    assert len(library.found) == 11
    spent = sum(request.tokens for played in (above, below) for request in model.requests(played))
    assert result.usage.prompt_tokens == spent


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_out_of_turns_is_an_error_of_the_call(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    below = model.play([call("look", topic="tea")] * 5)
    above = model.play([call("ask", request="What is tea?"), say("Nobody knows.")])
    researcher = Library().researcher(below, place)
    tools = [agent_tool(researcher, "ask", "Ask the researcher.", max_turns=2)]

    assert runtime.run(Agent("boss", model=above, tools=tools, model_place=place), "Tea?").output == "Nobody knows."
    assert "The agent researcher used all of its 2 turns" in str(told(model, above))
    assert len(model.requests(below)) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_failed_inside_goes_on_there(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    broken = [True]

    def reply(request: Any) -> Any:
        if request.turn == 0:
            return call("look", topic="tea")
        return fail(401, "no such key") if broken[0] else say("Tea is a plant.")

    below = model.play(reply)
    above = model.play([call("researcher", request="What is tea?"), say("A plant.")])
    library = Library()
    boss = Agent("boss", model=above, tools=[agent_tool(library.researcher(below, place))], model_place=place)
    handle = runtime.start(boss, "Tea?")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    before = [(event.seq, event.type) for event in handle.stream()]

    broken[0] = False
    handle.retry()
    assert handle.result(timeout=60).output == "A plant."
    assert list(library.found.values()) == ["tea"]
    assert len(model.requests(above)) == 2
    after = [(event.seq, event.type) for event in handle.stream()]
    assert after[: len(before)] == before


def test_a_pause_holds_for_an_agent_that_begins_at_that_moment(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, free = threading.Event(), threading.Event()

    def above(request: Any) -> Any:
        if request.turn:
            return say("A plant.")
        asked.set()
        assert free.wait(60)
        return call("researcher", request="What is tea?")

    looked = threading.Event()

    def below(request: Any) -> Any:
        assert looked.wait(60)
        return say("Tea is a plant.")

    tools = [agent_tool(Library().researcher(model.play(below), "worker"))]
    handle = runtime.start(Agent("boss", model=model.play(above), tools=tools, model_place="worker"), "Tea?")
    assert asked.wait(60)
    pause = type(runtime.client).pause

    def just_before(client: Conductor, execution_id: str) -> None:
        """The model answers after the segment was read, and before it is paused."""
        if execution_id != handle.execution_id and not free.is_set():
            free.set()
            wait_until(lambda: any(each.is_part for each in client.workflow(execution_id).tasks), "the call", 60)
        pause(client, execution_id)

    monkeypatch.setattr(type(runtime.client), "pause", just_before)
    handle.pause()

    begun = [runtime.client.workflow(each, tasks=False) for each in all_below(runtime.client, [handle.execution_id])]
    assert {"boss.segment", "researcher.as.tool"} <= {each.workflow_name for each in begun}
    assert {each.status for each in begun} == {"PAUSED"}
    looked.set()
    handle.resume()
    assert handle.result(timeout=60).output == "A plant."


@pytest.mark.parametrize("place", PLACES)
def test_what_is_asked_inside_is_decided_from_outside(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    below = model.play([call("look", topic="secrets"), say("They are secret.")])
    above = model.play([call("researcher", request="Which secrets?"), say("None.")])
    library = Library()
    researcher = library.researcher(below, place, approval=True)
    boss = Agent("boss", model=above, tools=[agent_tool(researcher, approval=True)], model_place=place)
    handle = runtime.start(boss, "Secrets?")

    wait_until(lambda: [each.tool for each in handle.requests()] == ["researcher"], "the approval of the call")
    handle.approve(by="ann")
    wait_until(lambda: [each.tool for each in handle.requests()] == ["look"], "the approval inside")
    status = handle.get_status()
    assert status.is_waiting
    assert [request.agent for request in status.requests] == ["researcher"]
    handle.pause()
    handle.resume()
    handle.cancel("later")
    handle.retry()
    wait_until(lambda: [each.tool for each in handle.requests()] == ["look"], "the same once more")
    handle.approve(by="bob")
    assert handle.result(timeout=60).output == "None."
    assert list(library.found.values()) == ["secrets"]
    decided = [(event.path, event.by) for event in handle.stream() if event.type == "decision"]
    assert decided == [((), "ann"), (("researcher",), "bob")]


def test_agents_call_agents_that_call_agents(runtime: AgentRuntime, model: Stage) -> None:
    lowest = model.play([call("look", topic="tea"), say("low")])
    middle = model.play([call("researcher", request="tea"), say("middle")])
    above = model.play([call("editor", request="tea"), say("high")])
    researcher = Library().researcher(lowest, "worker")
    editor = Agent("editor", model=middle, tools=[agent_tool(researcher)], description="Edits.", model_place="worker")
    boss = Agent("boss", model=above, tools=[agent_tool(editor)], model_place="worker")
    handle = runtime.start(boss, "Go.")

    result = handle.result(timeout=60)
    assert result.output == "high"
    assert ("editor", "researcher") in {event.path for event in handle.stream()}
    played = (lowest, middle, above)
    assert result.usage.prompt_tokens == sum(request.tokens for each in played for request in model.requests(each))


def test_the_caller_knows_which_version_it_calls(runtime: AgentRuntime, model: Stage) -> None:
    above = [call("helper", request="Go."), say("Done.")]
    answers = []
    for text in ("one", "two", "one"):
        helper = Agent("helper", model=model.play([say(text)]), description="Helps.", instructions=text)
        boss = Agent("boss", model=model.play(above), tools=[agent_tool(helper)])
        assert runtime.run(boss, "Go.").output == "Done."
        answers += told(model, boss.model)
    assert answers == ["one", "two", "one"]


def test_what_is_called_says_what_it_does_and_is_one(model: Stage) -> None:
    with pytest.raises(DefinitionError, match="nothing says what it does"):
        agent_tool(Agent("helper", model="openai/none"))
    with pytest.raises(DefinitionError, match="needs an Agent"):
        agent_tool("helper")  # type: ignore[arg-type]
    one = Agent("helper", model="openai/none", description="Helps.")
    other = Agent("helper", model="openai/other", description="Helps.", model_settings=ModelSettings(top_p=1))
    with pytest.raises(DefinitionError, match="two agents are named 'helper'"):
        Agent("boss", model="openai/none", tools=[agent_tool(one), agent_tool(other, "again")], model_retry=Retry(1))
    with pytest.raises(DefinitionError, match="two agents are named 'boss'"):
        Agent("boss", model="openai/none", tools=[agent_tool(Agent("boss", model="openai/x", description="x"))])


@pytest.mark.parametrize("place", PLACES)
def test_a_run_in_which_an_attempt_failed_before_goes_on_inside_too(
    runtime: AgentRuntime, model: Stage, place: Any
) -> None:
    """Conductor's own retry goes on below the first task of an execution that failed, though it was tried again."""
    broken = [True]
    tries: list[int] = []

    def reply(request: Any) -> Any:
        if request.turn == 0:
            return call("look", topic="tea")
        return fail(401, "no such key") if broken[0] else say("Tea is a plant.")

    def above(request: Any) -> Any:
        tries.append(request.turn)
        if len(tries) <= 5:
            return fail(503, "busy")
        return say("A plant.") if request.turn else call("researcher", request="What is tea?")

    library = Library()
    tools = [agent_tool(library.researcher(model.play(reply), place))]
    settings = Retry(6, delay=0)
    boss = Agent("boss", model=model.play(above), tools=tools, model_place=place, model_retry=settings)
    handle = runtime.start(boss, "Tea?")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    before = [(event.seq, event.type) for event in handle.stream()]
    begun = all_below(runtime.client, [handle.execution_id])

    broken[0] = False
    handle.retry()
    assert handle.result(timeout=60).output == "A plant."
    assert list(library.found.values()) == ["tea"]
    assert all_below(runtime.client, [handle.execution_id]) == begun, "no other run of the agent that was called"
    after = [(event.seq, event.type) for event in handle.stream()]
    assert after[: len(before)] == before


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_cancelled_goes_on_in_all_that_was_at_work(
    runtime: AgentRuntime, model: Stage, place: Any
) -> None:
    """A tool that was called before the agent, in the same turn, does not have the agent begin anew."""
    free, begun = threading.Event(), threading.Semaphore(0)
    did: list[str] = []

    @tool(retry=Retry(1))
    def note(word: str) -> str:
        """Write a word down, the slow ones once it is time."""
        if word.startswith("slow"):
            begun.release()
            assert free.wait(60)
        did.append(word)
        return word

    def below(request: Any) -> Any:
        return [call("note", word="first"), call("note", word="slow inside"), say("noted")][request.turn]

    clerk = Agent("clerk", model=model.play(below), tools=[note], model_place=place, description="Notes.")
    turn = calls(call("note", word="slow beside"), call("clerk", request="Note it."))
    above = model.play([turn, say("All noted.")])
    handle = runtime.start(Agent("boss", model=above, tools=[note, agent_tool(clerk)], model_place=place), "Note.")
    for _ in range(2):
        assert begun.acquire(timeout=60)
    handle.cancel()
    with pytest.raises(ExecutionTerminated):
        handle.result(timeout=60)
    before = [(event.seq, event.type) for event in handle.stream()]

    handle.retry()
    free.set()
    assert handle.result(timeout=60).output == "All noted."
    assert sorted(did) == ["first", "slow beside", "slow inside"]
    after = [(event.seq, event.type) for event in handle.stream()]
    assert after[: len(before)] == before, "a cursor stays what it was"
