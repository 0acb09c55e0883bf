"""Tokens while they come: in the process that calls the model, in another one, and what becomes of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest

from agentspan.agents import Agent, AgentRuntime, AnyEvent, DefinitionError, ModelSettings, Retry, tool
from agentspan.testing import ModelRequest, Reply, call, say, stream
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def talker(name: str, model: Stage, script: object, **values: object) -> Agent:
    settings = ModelSettings(base_url=model.server.openai_url, **values)  # type: ignore[arg-type]
    played = model.play(script)  # type: ignore[arg-type]
    retry = Retry(attempts=3, delay=0)
    return Agent(name, model=played, tools=[add], model_place="worker", model_settings=settings, model_retry=retry)


def text_of(events: Iterable[AnyEvent]) -> str:
    return "".join(event.text for event in events if event.type == "text_delta")


def test_words_come_while_the_model_speaks(runtime: AgentRuntime, model: Stage) -> None:
    seen = threading.Event()
    agent = talker("talks", model, [call("add", a=1, b=2), stream("Three, ", seen, "of course.")])

    got: list[AnyEvent] = []
    for event in runtime.stream(agent, "1 + 2?", tokens=True):
        got.append(event)
        if event.type == "text_delta":
            assert not seen.is_set() or "Three" not in (event.text or "")
            seen.set()  # the model says the rest when the first words are here

    assert text_of(got) == "Three, of course."
    assert (got[-1].type, got[-1].output) == ("done", "Three, of course.")
    counted = [event.seq for event in got if event.type != "text_delta"]
    assert counted == list(range(1, len(counted) + 1))
    first = next(place for place, event in enumerate(got) if event.type == "text_delta")
    assert got[first].seq == got[first - 1].seq
    assert [event.type for event in runtime.handle(got[0].execution_id).stream()] == [
        event.type for event in got if event.type != "text_delta"
    ]


@pytest.mark.parametrize("late", [False, True])
def test_words_are_read_in_another_process(runtime: AgentRuntime, conductor_url: str, model: Stage, late: bool) -> None:
    begun, seen = threading.Event(), threading.Event()

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            begun.wait(30)
            return replace(call("add", a=1, b=2), delay=1.5)  # for a second a worker takes what it knows as true
        return stream("Three, ", 0.3, "of ", seen, "course.")

    # Of two runtimes in one process, too, each hears of the other's answers by the server alone.
    agent = talker("talks_far", model, reply, stream=late)
    reader = AgentRuntime(conductor_url)
    execution_id = runtime.start(agent, "1 + 2?").execution_id
    got: list[AnyEvent] = []
    for event in reader.handle(execution_id).stream(tokens=True):
        begun.set()  # a call that begins before anybody reads comes whole, unless the agent always streams
        got.append(event)
        if text_of(got) == "Three, of ":
            seen.set()

    assert seen.is_set()
    assert text_of(got) in ("Three, of ", "Three, of course.")
    assert (got[-1].type, got[-1].output) == ("done", "Three, of course.")
    assert "text_void" not in {event.type for event in got}


def test_what_a_provider_broke_off_is_void(runtime: AgentRuntime, model: Stage) -> None:
    def reply(request: ModelRequest) -> Reply:
        if request.attempt == 1:
            return stream("Two and", 0.3, " a", 0.3, dropped=True)
        return say("Three")

    agent = talker("talks_again", model, reply)
    got = list(runtime.stream(agent, "1 + 2?", tokens=True))

    kinds = [event.type for event in got]
    assert "text_void" in kinds
    assert text_of(got[: kinds.index("text_void")]) == "Two and a"
    assert text_of(got[kinds.index("text_void") :]) == "Three"
    assert got[-1].output == "Three"
    assert "model_retry" in kinds


def test_words_on_an_event_loop(runtime: AgentRuntime, model: Stage) -> None:
    seen = threading.Event()
    agent = talker("talks_async", model, [stream("Three, ", seen, "of course.")])
    got: list[AnyEvent] = []

    async def read() -> None:
        async for event in runtime.stream_async(agent, "1 + 2?", tokens=True):
            got.append(event)
            if event.type == "text_delta":
                seen.set()

    asyncio.run(read())
    assert text_of(got) == "Three, of course."


def test_who_does_not_listen_pays_nothing(runtime: AgentRuntime, model: Stage) -> None:
    agent = talker("talks_whole", model, [call("add", a=1, b=2), say("Three")])
    assert runtime.run(agent, "1 + 2?", timeout=60).output == "Three"
    assert not any(request.body.get("stream") for request in model.requests(agent.model))


def test_the_servers_own_call_comes_whole(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("talks_server", model=model.play([say("Three")]))
    got = list(runtime.stream(agent, "1 + 2?", tokens=True))
    assert text_of(got) == ""
    assert got[-1].output == "Three"
    with pytest.raises(DefinitionError, match="needs a worker"):
        Agent("talks_server", model="openai/x", model_place="server", model_settings=ModelSettings(stream=True))


def test_another_model_begins_anew(runtime: AgentRuntime, model: Stage) -> None:
    """The first one breaks off in mid-answer: what it said is void, and the next model is asked in the same try."""
    heard_first, heard_second = threading.Event(), threading.Event()
    first = model.play([stream("Thr", heard_first, "ee", dropped=True)])
    second = model.play([stream("It ", heard_second, "is 3.")])
    settings = ModelSettings(base_url=model.server.openai_url)
    agent = Agent("talks_on", model=(first, second), model_place="worker", model_settings=settings)

    got: list[AnyEvent] = []
    for event in runtime.stream(agent, "1 + 2?", tokens=True):
        got.append(event)
        if event.type == "text_delta":
            (heard_second if heard_first.is_set() and "It" in event.text else heard_first).set()

    assert (got[-1].type, got[-1].output) == ("done", "It is 3.")
    void = [event.type for event in got].index("text_void")
    assert "Three".startswith(text_of(got[:void]))
    assert text_of(got[void:]).startswith("It ")
    assert "It is 3.".startswith(text_of(got[void:]))
    assert [event.error for event in got if event.type == "model_retry"] == [
        f"{first}: The model's provider did not answer: Connection error."
    ]
