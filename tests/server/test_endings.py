"""How runs end beside by an answer of their own: the last turn, and a stop, on the real server."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Conflict,
    DefinitionError,
    ExecutionFailed,
    Guardrail,
    GuardrailError,
    MaxMessageTermination,
    ModelSettings,
    StopMessageTermination,
    TextMentionTermination,
    TokenUsageTermination,
    ToolCallTermination,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

Make = Callable[..., Agent[Any]]


class Seen(BaseModel):
    things: int


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


@pytest.fixture
def make(model: Stage) -> Make:
    def made(name: str, script: Any, **options: Any) -> Agent[Any]:
        settings = ModelSettings(base_url=model.server.openai_url)
        return Agent(name, model=model.play(script), model_place="worker", model_settings=settings, **options)

    return made


def until_told(request: ModelRequest) -> Reply:
    """Calls tools until the request says that there are no more."""
    if request.body.get("tool_choice") == "none":
        return say("I saw some.")
    return call("look", number=request.turn)


# ---- the last turn -------------------------------------------------------------------------------------


def test_the_last_turn_is_an_answer(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    agent = make("ending_answer", until_told, tools=[look], max_turns=3, on_max_turns="answer")
    handle = runtime.start(agent, "Look around.")
    result = handle.result(60)

    assert (result.output, result.steps, result.finish_reason) == ("I saw some.", 3, "max_turns")
    assert result.is_success
    requests = model.requests(agent.model)
    assert len(requests) == 3
    assert "used all your turns but this one" in requests[-1].messages[-1].text
    assert [offered.name for offered in requests[-1].tools] == ["look"], "providers want the tools of earlier calls"
    assert [event.type for event in handle.stream()][-2:] == ["step", "done"]


def test_a_model_that_calls_on_is_not_heard(runtime: AgentRuntime, make: Make) -> None:
    agent = make("ending_stubborn", lambda _: call("look", number=1), tools=[look], max_turns=9, on_max_turns="answer")
    result = runtime.run(agent, "Look around.", timeout=60)

    assert (result.output, result.steps, len(result.tool_calls)) == ("", 9, 8)


def test_a_typed_last_turn(runtime: AgentRuntime, make: Make) -> None:
    def reply(request: ModelRequest) -> Reply:
        return say('{"things": 2}') if request.body.get("tool_choice") == "none" else call("look", number=1)

    agent = make("ending_typed", reply, tools=[look], max_turns=2, on_max_turns="answer", output_type=Seen)

    assert runtime.run(agent, "Look around.", timeout=60).output == Seen(things=2)


def test_it_fails_unless_it_is_to_answer(runtime: AgentRuntime, make: Make) -> None:
    with pytest.raises(ExecutionFailed, match="used all of its 2 turns"):
        runtime.run(make("ending_fail", until_told, tools=[look], max_turns=2), "Look around.", timeout=60)


def test_the_server_cannot_end_with_an_answer() -> None:
    with pytest.raises(DefinitionError, match="on_max_turns needs a worker"):
        Agent("ending_server", model="openai/gpt-4o", model_place="server", on_max_turns="answer")
    with pytest.raises(DefinitionError, match="'answer' or 'fail'"):
        Agent("ending_odd", model="openai/gpt-4o", on_max_turns="shrug")  # type: ignore[call-overload]


# ---- a stop --------------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def held(gate: threading.Event, at: int) -> Any:
    @tool(name="look")
    def look_long(number: int) -> str:
        """Look at something."""
        if number == at:
            gate.wait(60)
        return f"seen {number}"

    return look_long


def at_work(handle: AgentHandle[Any], step: int) -> Callable[[], bool]:
    def is_at_work() -> bool:
        status = handle.get_status()
        return (status.step, status.current_task) == (step, "look")

    return is_at_work


@pytest.mark.parametrize("at", [1, 6, 12])
def test_a_stop_lets_the_turn_finish_and_the_model_answer(
    runtime: AgentRuntime, model: Stage, make: Make, gate: threading.Event, conductor_url: str, at: int
) -> None:
    agent = make("stopped", until_told, tools=[held(gate, at - 1)])
    handle = runtime.start(agent, "Look around.")
    wait_until(at_work(handle, at), "the tool to be at work")

    with AgentRuntime(conductor_url) as elsewhere:
        elsewhere.handle(handle.execution_id).stop()
        elsewhere.handle(handle.execution_id).stop()  # twice is once
    assert handle.get_status().step == at
    gate.set()
    result = handle.result(60)

    assert (result.output, result.finish_reason, result.status) == ("I saw some.", "stopped", "COMPLETED")
    requests = model.requests(agent.model)
    assert len(requests) == at + 1
    assert [turn.role for turn in requests[-1].messages[-2:]] == ["tool", "user"]
    assert "come to an end" in requests[-1].messages[-1].text
    assert len(result.tool_calls) == at
    steps = handle.steps()
    assert sum(step.model.usage.total_tokens for step in steps) == result.usage.total_tokens
    followed = [event.seq for event in handle.stream()]
    assert followed == list(range(1, len(followed) + 1))
    assert followed == [event.seq for event in runtime.handle(handle.execution_id).stream()]


def test_a_stop_at_the_end_of_a_segment_waits_for_the_next(
    runtime: AgentRuntime, make: Make, gate: threading.Event
) -> None:
    def thinks(request: ModelRequest) -> Reply:
        return until_told(request).after(0.2)  # a call that begins is not skipped: turns take as long as real ones

    agent = make("stopped_late", thinks, tools=[held(gate, 7)])
    handle = runtime.start(agent, "Look around.")
    wait_until(at_work(handle, 8), "the tool to be at work")
    threading.Timer(0.3, gate.set).start()

    handle.stop()

    assert (handle.result(60).finish_reason, handle.result(60).output) == ("stopped", "I saw some.")


def test_a_stop_of_a_quick_run_is_never_lost(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    """Nor does the run stand still by it: the engine begins the next turn without regard to the wish."""
    for at in range(1, 13):
        reached = threading.Event()

        def counts(request: ModelRequest, at: int = at, reached: threading.Event = reached) -> Reply:
            if request.turn >= at:
                reached.set()
            return until_told(request)

        handle = runtime.start(make("stopped_quick", counts, tools=[look], max_turns=300), "Look around.")
        assert reached.wait(60)
        handle.stop()
        assert (handle.result(60).finish_reason, handle.result(60).output) == ("stopped", "I saw some.")


def test_a_stop_before_the_first_turn(runtime: AgentRuntime, model: Stage, make: Make, gate: threading.Event) -> None:
    def slow(prompt: str) -> bool:
        return gate.wait(60)

    agent = make("stopped_early", until_told, tools=[look], guardrails=[Guardrail(slow, position="input")])
    handle = runtime.start(agent, "Look around.")
    wait_until(lambda: handle.get_status().current_task == "input", "the guardrail to be at work")
    handle.stop()
    gate.set()

    assert (handle.result(60).output, handle.result(60).finish_reason) == ("I saw some.", "stopped")
    assert len(model.requests(agent.model)) == 1


def test_what_cannot_be_stopped(
    runtime: AgentRuntime, model: Stage, make: Make, gate: threading.Event, conductor_url: str
) -> None:
    script = [call("look", number=0), say("done")]
    served = Agent("stopped_server", model=model.play(script), tools=[held(gate, 0)])
    handle = runtime.start(served, "Look around.")
    wait_until(at_work(handle, 1), "the tool to be at work")

    with pytest.raises(Conflict, match="called by the server"):
        handle.stop()
    gate.set()
    handle.result(60)
    with pytest.raises(Conflict, match="is COMPLETED: it cannot be stopped"):
        handle.stop()

    alone = runtime.start(make("stopped_alone", [say("hello")]), "Hello.", serve=False)
    shown = CliRunner().invoke(main, ["--server", conductor_url, "agent", "stop", alone.execution_id])
    assert shown.output.startswith("STOPPING"), "its only turn is its last one"
    alone.cancel()


# ---- conditions ----------------------------------------------------------------------------------------


def talking(request: ModelRequest) -> Reply:
    """Says how far it is beside each call."""
    if request.body.get("tool_choice") == "none":
        return say("I saw some.")
    return dataclasses.replace(call("look", number=request.turn), text=f"Round {request.turn}. Enough? ")


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        (TextMentionTermination("round 2"), 4),
        (TextMentionTermination("round 2", case_sensitive=True) | MaxMessageTermination(9), 5),
        (StopMessageTermination("Round 1. Enough?"), 3),
        (ToolCallTermination("look"), 2),
        (ToolCallTermination("look") & TextMentionTermination("Round 1"), 3),
        (TokenUsageTermination(max_total_tokens=1), 2),
        (lambda context: context.results == ("seen 3",) and context.step == 4, 5),
    ],
    ids=lambda value: "function" if callable(value) and not hasattr(value, "should_terminate") else str(value),
)
def test_a_condition_makes_the_next_turn_the_last(
    runtime: AgentRuntime, model: Stage, make: Make, condition: Any, steps: int
) -> None:
    agent = make("ending_condition", talking, tools=[look], termination=condition)
    result = runtime.run(agent, "Look around.", timeout=60)

    assert (result.output, result.steps, result.finish_reason) == ("I saw some.", steps, "stopped")
    assert "come to an end" in model.requests(agent.model)[-1].messages[-1].text


def test_a_worker_with_another_condition_hands_it_on(runtime: AgentRuntime, make: Make, conductor_url: str) -> None:
    agent = make("ending_versions", talking, tools=[look], termination=ToolCallTermination("look"))
    handle = runtime.start(agent, "Look around.", serve=False)
    with AgentRuntime(conductor_url) as newer:
        newer.serve(dataclasses.replace(agent, termination=MaxMessageTermination(50)), blocking=False)
        wait_until(lambda: handle.get_status().missing_workers, "the call to be handed back")
        (missing,) = handle.get_status().missing_workers
    runtime.serve(agent, blocking=False)

    assert "another condition" in (missing.mismatch or "")
    assert handle.result(60).steps == 2


# ---- required tools ------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [False, True], ids=["text", "typed"])
def test_an_answer_before_a_required_tool_is_sent_back(
    runtime: AgentRuntime, model: Stage, make: Make, typed: bool
) -> None:
    script = [say('{"things": 1}'), call("look", number=1), say('{"things": 2}')]
    output_type = {"output_type": Seen} if typed else {}
    agent = make("ending_required", script, tools=[look], required_tools=["look"], **output_type)
    handle = runtime.start(agent, "Look around.")
    result = handle.result(60)

    assert result.output == (Seen(things=2) if typed else '{"things": 2}')
    assert result.steps == 3
    assert "Call these tools before you answer: look." in model.requests(agent.model)[1].messages[-1].text
    assert [event.guardrail_name for event in handle.stream() if event.type == "guardrail_fail"] == ["required_tools"]


def test_a_required_tool_that_is_never_called_ends_the_run(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    agent = make("ending_never", lambda _: say("I know."), tools=[look], required_tools=["look"])

    with pytest.raises(GuardrailError, match="Call these tools before you answer: look") as raised:
        runtime.run(agent, "Look around.", timeout=60)

    assert raised.value.guardrail == "required_tools"
    assert len(model.requests(agent.model)) == 4
    with pytest.raises(GuardrailError):
        runtime.run(dataclasses.replace(agent, max_turns=1), "Look around.", timeout=60)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"required_tools": ["hear"]}, "the agent has no such tool"),
        ({"required_tools": "look"}, "a list of names"),
        ({"termination": 7}, "a Termination, or a function"),
        ({"termination": MaxMessageTermination}, "a Termination, or a function"),
        ({"termination": ToolCallTermination("look"), "stop_when": bool}, "given twice"),
        ({"required_tools": ["look"], "model_place": "server"}, "required_tools needs a worker"),
        ({"termination": ToolCallTermination("look"), "model_place": "server"}, "termination needs a worker"),
    ],
)
def test_endings_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        Agent("ending_refused", model="openai/gpt-4o", tools=[look], **options)
    for nonsense in (lambda: MaxMessageTermination(0), TokenUsageTermination, lambda: ToolCallTermination("a") & 1):  # type: ignore[operator]
        with pytest.raises(DefinitionError):
            nonsense()
