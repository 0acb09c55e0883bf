"""Conversations that go on from run to run, and callbacks on the way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import uuid4

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    CallbackHandler,
    ContextBudget,
    ConversationMemory,
    ExecutionFailed,
    InputError,
    Team,
    agent_tool,
    run,
    run_async,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def answering(request: ModelRequest) -> Reply:
    """Answers the latest message of the user."""
    latest = said(request)[-1]
    return fail(400, "refused") if latest == "refused" else say(f"answer to {latest}")


def said(request: ModelRequest) -> list[str]:
    # Beyond the prompt the server may have added a message of its own.
    return [turn.text for turn in request.messages if turn.text and not turn.text.startswith("Please continue")]


def test_a_session_goes_on_from_run_to_run(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    agent = Agent("chatting", model=model.play(answering))
    session = f"user/{uuid4()}"
    run(agent, "one", runtime=runtime, session_id=session)
    with pytest.raises(ExecutionFailed):
        run(agent, "refused", runtime=runtime, session_id=session)
    with AgentRuntime(conductor_url) as other:
        second = run("chatting", "two", runtime=other, session_id=session)
    run(agent, "elsewhere", runtime=runtime, session_id=f"{session}/2")

    assert second.messages[:2] == [
        {"role": "user", "message": "one"},
        {"role": "assistant", "message": "answer to one"},
    ]
    assert said(model.requests(agent.model)[-1]) == ["elsewhere"]


def test_a_session_is_as_long_as_the_agent_has_room(runtime: AgentRuntime, model: Stage) -> None:
    budget = ContextBudget(max_chars=1000, keep_chars=60)
    agent = Agent("chatting_briefly", model=model.play(answering), context=budget)
    session = str(uuid4())
    for text in ("first", "second", "third"):
        last = run(agent, text, runtime=runtime, session_id=session)
    # "first" and its answer take 20 characters, "second" and its answer 22.
    assert [each["message"] for each in last.messages] == [
        "first",
        "answer to first",
        "second",
        "answer to second",
        "third",
        "answer to third",
    ]
    fourth = run(agent, "fourth", runtime=runtime, session_id=session)
    assert [each["message"] for each in fourth.messages[:2]] == ["second", "answer to second"]


def test_what_is_said_beside_each_other_is_said_to_the_next(runtime: AgentRuntime, model: Stage) -> None:
    free = threading.Event()

    def slowly(request: ModelRequest) -> Reply:
        if said(request)[-1] == "slow":
            assert free.wait(60)
        return answering(request)

    agent = Agent("chatting_twice", model=model.play(slowly))
    session = str(uuid4())
    run(agent, "first", runtime=runtime, session_id=session)
    slow = runtime.start(agent, "slow", session_id=session)
    run(agent, "quick", runtime=runtime, session_id=session)
    free.set()
    slow.result(timeout=60)
    for prompt in ("third", "fourth"):
        last = run(agent, prompt, runtime=runtime, session_id=session)

    assert [each["message"] for each in last.messages] == [
        text for prompt in ("first", "slow", "quick", "third", "fourth") for text in (prompt, f"answer to {prompt}")
    ]


def test_an_answer_beyond_all_room_is_not_forgotten_whole(runtime: AgentRuntime, model: Stage) -> None:
    answer = "ä" * 900
    played = model.play(lambda request: say("Yes.") if request.turn else say(answer))
    agent = Agent("chatting_at_length", model=played, context=ContextBudget(max_chars=1000))
    session = str(uuid4())
    run(agent, "Tell me.", runtime=runtime, session_id=session)
    second = run(agent, "And?", runtime=runtime, session_id=session)

    assert [each["message"] for each in second.messages[:2]] == [
        "Tell me.",
        "ä" * 125 + "\n[Cut: 125 of 900 characters.]",
    ]


def test_a_session_is_not_that_of_a_team_in_which_its_agent_is(runtime: AgentRuntime, model: Stage) -> None:
    one, two = (Agent(name, model=model.play(answering)) for name in ("chatting_one", "chatting_two"))
    session = str(uuid4())
    runtime.run(Team("chatting_both", [one, two], strategy="sequential"), "to both", session_id=session, timeout=60)
    alone = run(one, "to one", runtime=runtime, session_id=session)

    assert [each["message"] for each in alone.messages] == ["to one", "answer to to one"]


def test_a_memory_stands_before_the_prompt(runtime: AgentRuntime, model: Stage) -> None:
    memory = ConversationMemory()
    agent = Agent("remembering", model=model.play(answering), memory=memory)
    memory.add_user_message("My name is Ada.")
    memory.add_assistant_message("Hello Ada.")
    earlier = [{"role": "user", "message": "Be brief."}]
    result = run(agent, "Who am I?", runtime=runtime, messages=earlier)

    assert said(model.requests(agent.model)[-1]) == ["My name is Ada.", "Hello Ada.", "Be brief.", "Who am I?"]
    assert len(memory.messages) == 2
    assert [each["message"] for each in result.messages[-2:]] == ["Who am I?", "answer to Who am I?"]

    session = str(uuid4())
    for prompt in ("One?", "Two?"):
        result = run(agent, prompt, runtime=runtime, session_id=session)
    assert [each["message"] for each in result.messages] == [
        "My name is Ada.",
        "Hello Ada.",
        "One?",
        "answer to One?",
        "Two?",
        "answer to Two?",
    ]
    memory.messages.append({"role": "user", "message": "\0"})
    with pytest.raises(InputError, match="what was said before, message 3: message has a NUL"):
        run(agent, "Who am I?", runtime=runtime)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"session_id": " "}, "session_id is empty"),
        ({"session_id": 7}, "session_id must be a str"),
        ({"session_id": "s", "idempotency_key": "k"}, "do not go together"),
    ],
)
def test_a_session_that_is_none(runtime: AgentRuntime, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        runtime.start(Agent("chatting", model="openai/gpt-4o"), "one", **options)


class Recorder(CallbackHandler):
    """Notes what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def on_agent_start(self, **kwargs: Any) -> None:
        self.calls.append(("agent_start", kwargs["agent_name"]))

    def on_agent_end(self, **kwargs: Any) -> None:
        self.calls.append(("agent_end", kwargs["result"]))

    def on_model_start(self, **kwargs: Any) -> None:
        self.calls.append(("model_start", kwargs["step"]))

    def on_model_end(self, *, llm_result: str | None = None, **_: Any) -> None:
        self.calls.append(("model_end", llm_result))

    def on_tool_start(self, **kwargs: Any) -> None:
        self.calls.append(("tool_start", kwargs["args"]))

    def on_tool_end(self, **kwargs: Any) -> None:
        self.calls.append(("tool_end", kwargs["result"]))


CALLED = [
    ("agent_start", "called_back"),
    ("model_start", 1),
    ("model_end", None),
    ("tool_start", {"a": 1, "b": 2}),
    ("tool_end", 3),
    ("model_start", 2),
    ("model_end", "three"),
    ("agent_end", "three"),
]


def test_callbacks_are_called_while_run_waits(runtime: AgentRuntime, model: Stage) -> None:
    recorder = Recorder()
    name = model.play([call("add", a=1, b=2), say("three")])
    agent = Agent("called_back", model=name, tools=[add], callbacks=[recorder, CallbackHandler()])
    assert run(agent, "1 + 2?", runtime=runtime, timeout=60).output == "three"
    assert recorder.calls == CALLED


async def _called_back(agent: Agent, runtime: AgentRuntime) -> str:
    return (await run_async(agent, "1 + 2?", runtime=runtime)).output


def test_callbacks_on_an_event_loop(runtime: AgentRuntime, model: Stage) -> None:
    recorder = Recorder()
    name = model.play([call("add", a=1, b=2), say("three")])
    agent = Agent("called_back", model=name, tools=[add], callbacks=[recorder])
    assert asyncio.run(_called_back(agent, runtime)) == "three"
    assert recorder.calls == CALLED


class Models(CallbackHandler):
    """Whose model was asked, in which step, and what it answered."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_model_start(self, **kwargs: Any) -> None:
        self.calls.append((kwargs["agent_name"], kwargs["step"]))

    def on_model_end(self, *, llm_result: str | None = None, **kwargs: Any) -> None:
        self.calls.append((kwargs["agent_name"], kwargs["step"], llm_result))


def test_each_model_that_is_asked_has_answered_in_called_agents_too(runtime: AgentRuntime, model: Stage) -> None:
    below = model.play(lambda request: say("three") if request.turn else call("add", a=1, b=2))
    above = model.play([calls(call("adder", request="1 + 2?"), call("adder", request="And?")), say("six")])
    adder = Agent("adder", model=below, tools=[add], description="Adds.")
    recorder = Models()
    agent = Agent("asks_back", model=above, tools=[agent_tool(adder)], callbacks=[recorder])

    assert run(agent, "Twice.", runtime=runtime, timeout=60).output == "six"
    inside = [("adder", 1), ("adder", 1, None), ("adder", 2), ("adder", 2, "three")]
    own = ("asks_back", 1), ("asks_back", 1, None), ("asks_back", 2), ("asks_back", 2, "six")
    assert recorder.calls == [*own[:2], *inside, *inside, *own[2:]]


def test_each_model_that_is_asked_has_answered_in_called_teams_too(runtime: AgentRuntime, model: Stage) -> None:
    members = [Agent(name, model=model.play([say(name)])) for name in ("left_one", "right_one")]
    pair = Team("pair", members, strategy="parallel", description="Two.")
    recorder = Models()
    name = model.play([call("pair", request="Go."), say("Both.")])
    agent = Agent("asks_a_team", model=name, tools=[agent_tool(pair)], callbacks=[recorder])

    assert run(agent, "Go.", runtime=runtime, timeout=60).output == "Both."
    starts, ends = recorder.calls[::2], recorder.calls[1::2]
    assert [each[:2] for each in ends] == starts
    assert [each[0] for each in starts] == ["asks_a_team", "left_one", "right_one", "asks_a_team"]


def test_what_a_callback_returns_changes_nothing_and_says_so(runtime: AgentRuntime, model: Stage) -> None:
    class Changing(CallbackHandler):
        def on_model_end(self, **_: Any) -> dict[str, str]:
            return {"response": "another answer"}

    agent = Agent("called_in_vain", model=model.play([say("mine")]), callbacks=[Changing()])
    with pytest.warns(UserWarning, match="What on_model_end of a callback returns changes nothing"):
        assert run(agent, "?", runtime=runtime).output == "mine"
