"""Input that cannot be carried: refused before anything is sent, or told to the model; never changed in silence.

Whoever puts it there, the run goes on, or ends with an error that says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    DefinitionError,
    ExecutionFailed,
    InputError,
    ModelSettings,
    NotFound,
    Retry,
    ServerUnreachable,
    ToolFailed,
    tool,
)
from agentspan.server._process import free_port
from agentspan.testing import ModelRequest, Reply, call, calls, say
from agentspan.testing.plugin import Stage

MB = 1_000_000
NEARLY = "x" * (24 * MB // 10)
TOO_LONG = "x" * (26 * MB // 10)
HUGE = "x" * (11 * MB)
NUL = "a\0b"
SURROGATE = "a\ud800b"
CONTROLS = "".join(map(chr, [*range(1, 9), 11, 12, *range(14, 32), *range(127, 160)]))

TALKATIVE = ModelSettings(max_tokens=10_000_000)
"""Calls of an answer that is longer than allowed are not made."""

_numbers = count(1)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


# ---- from a user: refused, and nothing is sent -----------------------------------------------------------


@pytest.fixture
def unsent(runtime: AgentRuntime) -> Iterator[Agent]:
    """An agent that the server must not hear of."""
    agent = Agent(f"unsent_{next(_numbers)}", model="openai/unsent")
    yield agent
    assert runtime.client.workflow_definition(agent.name) is None


BAD_TEXTS = {
    "NUL": (NUL, "NUL"),
    "surrogate": (SURROGATE, "surrogate"),
    "2.6 MB": (TOO_LONG, "2,600,000 bytes"),
    "11 MB": (HUGE, "11,000,000 bytes"),
    "2.4 MB of emoji": ("😀" * 600_000, "bytes"),
    "no text": (5, "must be a str"),
}

BAD_VALUES = {
    "NUL": (NUL, "NUL"),
    "NUL in a key": ({NUL: 1}, "NUL"),
    "surrogate": ([SURROGATE], "surrogate"),
    "NaN": (math.nan, "JSON"),
    "infinite": ([-math.inf], "JSON"),
    "depth 2000": (deep(2000), "500 levels"),
    "depth 501": (deep(501), "500 levels"),
    "endless": (endless(), "JSON|levels"),
    "2.6 MB": (TOO_LONG, "bytes"),
    "11 MB": ([HUGE], "bytes"),
    "bytes": (b"\xff", "bytes"),
    "object": (object(), "no JSON form"),
    "generator": ((n for n in range(3)), "generator"),
    "two keys that are one": ({1: "a", "1": "b"}, "same as text"),
}


def table(cases: dict[str, tuple[Any, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("value", "problem"), cases.values(), ids=cases.keys())


@table(BAD_TEXTS | {"empty": ("", "empty"), "blank": (" \n\t ", "empty")})
def test_a_bad_prompt_is_refused(runtime: AgentRuntime, unsent: Agent, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"prompt.*{problem}"):
        runtime.start(unsent, value)


@table(BAD_VALUES)
def test_a_bad_context_is_refused(runtime: AgentRuntime, unsent: Agent, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"context.*({problem})"):
        runtime.start(unsent, "hi", context={"value": value})


@table(
    {name: ({"role": "user", "message": text}, problem.split()[-1]) for name, (text, problem) in BAD_TEXTS.items()}
    | {
        "empty": ({"role": "user", "message": ""}, "empty"),
        "role": ({"role": "system", "message": "x"}, "must be"),
        "shape of OpenAI": ({"role": "user", "content": "x"}, "must be"),
        "text": ("hi", "must be"),
    }
)
def test_a_bad_message_is_refused(runtime: AgentRuntime, unsent: Agent, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=f"messages.*{problem}"):
        runtime.start(unsent, "hi", messages=[value])


def test_what_is_too_long_together_is_refused(runtime: AgentRuntime, unsent: Agent) -> None:
    half = "x" * (13 * MB // 10)

    with pytest.raises(InputError, match=r"together: takes 2,600,0.. bytes"):
        runtime.start(unsent, half, messages=[{"role": "assistant", "message": half}])


@table(BAD_TEXTS | {"name": ("n" * 10_000, "100 at most")})
def test_a_bad_definition_is_refused(value: Any, problem: str) -> None:
    field = "name" if "100" in problem else "instructions"
    with pytest.raises(DefinitionError, match=problem):
        Agent(**{"name": "bad", "model": "openai/x", field: value})


@pytest.mark.parametrize("text", [NUL, SURROGATE], ids=["NUL", "surrogate"])
@pytest.mark.parametrize("place", ["parameter", "enum", "default", "stop", "model"])
def test_bad_text_anywhere_in_a_definition_is_refused(
    runtime: AgentRuntime, unsent: Agent, place: str, text: str
) -> None:
    def function(given):  # type: ignore[no-untyped-def]
        return given

    kinds = {"parameter": Annotated[str, Field(description=text)], "enum": Literal[text]}  # type: ignore[valid-type]
    function.__annotations__ = {"given": kinds.get(place, str)}
    function.__defaults__ = (text,) if place == "default" else None
    settings = ModelSettings(stop=(text,) if place == "stop" else ())
    model = f"openai/{text}" if place == "model" else "openai/x"

    if place == "default":  # the function has it all the same; no model is told
        assert "default" not in tool(function, description="x").parameters["properties"]["given"]
        return
    with pytest.raises(DefinitionError, match=r"NUL|surrogate|literal"):
        runtime.start(Agent(unsent.name, model=model, model_settings=settings, tools=[tool(function)]), "hi")


def test_tools_that_are_too_long_together_are_refused(runtime: AgentRuntime, unsent: Agent) -> None:
    tools = [numbered_tool(n, "x" * 20_000) for n in range(200)]

    with pytest.raises(DefinitionError, match=r"its definition: takes 4,.* bytes"):
        runtime.start(Agent(unsent.name, model=unsent.model, tools=tools), "hi")


def numbered_tool(number: int, description: str) -> Any:
    def function(value: int) -> int:
        return value + number

    return tool(function, name=f"{'t' * 60}_{number:03}", description=description)


@pytest.mark.parametrize("name", ["n" * 10_000, "n" * 65, "a b", "", "é", NUL])
def test_a_bad_tool_name_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="1 to 64"):
        tool(lambda: None, name=name)


# ---- from a user: carried ----------------------------------------------------------------------------


def test_two_hundred_tools_are_carried(runtime: AgentRuntime, model: Stage) -> None:
    tools = [numbered_tool(n, f"Add {n}.") for n in range(200)]
    last = tools[-1].name
    name = model.play([call(last, value=1), calls(*(call(t.name, value=1) for t in tools[:10])), say("done")])

    runtime.run(Agent("many_tools", model=name, tools=tools), "hi", timeout=60)

    asked = model.requests(name)
    assert [offered.name for offered in asked[0].tools] == [t.name for t in tools]
    assert [r.output for r in asked[2].tool_results] == [{"result": n + 1} for n in range(10)]


def test_what_is_just_short_enough_is_carried(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        return text

    name = model.play([call("echo", text="x"), say("done")])
    agent = Agent("nearly", model=name, tools=[echo], instructions=NEARLY)

    handle = runtime.start(agent, NEARLY, context={"depth": deep(490), "controls": CONTROLS})
    result = handle.result(timeout=60)

    assert result.output == "done"
    asked = model.requests(name)
    assert [(request.system, request.prompt) for request in asked] == [(NEARLY, NEARLY)] * 2
    stored = runtime.client.workflow(handle.execution_id, tasks=False).input
    assert stored["context"] == {"depth": deep(490), "controls": CONTROLS}


# ---- from a tool: told to the model ----------------------------------------------------------------------


def test_what_a_tool_may_not_return_is_told_to_the_model(
    runtime: AgentRuntime, model: Stage, subtests: pytest.Subtests
) -> None:
    @tool
    def give(name: str) -> Any:
        """Return something."""
        return BAD_VALUES[name][0]

    asks = [call("give", name=name) for name in BAD_VALUES]
    model_name = model.play([*asks, calls(*asks), say("done")])

    handle = runtime.start(Agent("giver", model=model_name, tools=[give]), "hi")

    assert handle.result(timeout=60).output == "done"
    told = [result.output for request in model.requests(model_name) for result in request.tool_results]
    for name, output in zip([*BAD_VALUES, *BAD_VALUES], told, strict=True):
        with subtests.test(name):
            assert re.search(BAD_VALUES[name][1], output["error"])
    results = [event for event in handle.stream() if event.type == "tool_result"]
    assert [event.error for event in results] == [result["error"] for result in told]


ERRORS: dict[str, Callable[[], Exception]] = {
    "NUL": lambda: ToolFailed(NUL),
    "surrogate": lambda: ToolFailed(SURROGATE),
    "controls": lambda: ToolFailed(CONTROLS),
    "11 MB": lambda: ToolFailed(HUGE),
    "retried": lambda: ValueError(HUGE),
    "no text": lambda: ValueError(),
    "exit": lambda: SystemExit(3),  # type: ignore[return-value, dict-item]
}

TOLD = {
    "NUL": r"a\x00b",
    "surrogate": r"a\ud800b",
    "controls": CONTROLS,
    "11 MB": "x" * 10_000 + "… (11,000,000 characters)",
    "retried": "ValueError: " + "x" * 9_988 + "… (11,000,012 characters)",
    "no text": "ValueError: ",
    "exit": "SystemExit: 3",
}


def test_whatever_a_tool_raises_is_told_to_the_model(
    runtime: AgentRuntime, model: Stage, subtests: pytest.Subtests
) -> None:
    @tool(retry=Retry(2, delay=0))
    def fail(name: str) -> None:
        """Raise something."""
        raise ERRORS[name]()

    asks = [call("fail", name=name) for name in ERRORS]
    model_name = model.play([*asks, calls(*asks), say("done")])

    assert runtime.run(Agent("failer", model=model_name, tools=[fail]), "hi", timeout=60).output == "done"

    told = [result.output for request in model.requests(model_name) for result in request.tool_results]
    for name, alone, together in zip(ERRORS, told, told[len(ERRORS) :], strict=False):
        with subtests.test(name):
            assert alone == {"error": TOLD[name]}
            assert together["error"].startswith(TOLD[name][:1_000])


def test_a_deep_result_is_carried(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def dig() -> list[Any]:
        """Nest deeply."""
        return deep(490)

    name = model.play([call("dig"), calls(call("dig"), call("dig")), say("done")])

    handle = runtime.start(Agent("digger", model=name, tools=[dig]), "hi")
    handle.result(timeout=60)

    told = [result.output for request in model.requests(name) for result in request.tool_results]
    assert told == [{"result": deep(490)}] * 3
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == [deep(490)] * 3


@tool
def big(size: int) -> str:
    """A text of some size."""
    return "x" * size


def test_a_large_result_is_carried(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play([call("big", size=len(NEARLY)), say("done")])

    runtime.run(Agent("large", model=name, tools=[big]), NEARLY, timeout=60)

    assert [r.output for r in model.requests(name)[1].tool_results] == [{"result": NEARLY}]


@pytest.mark.timeout(400)
def test_eight_large_results_in_a_row_are_carried(runtime: AgentRuntime, model: Stage) -> None:
    """Each is shown to the model once; a segment does not have to hold them together."""

    def ask(request: ModelRequest) -> Reply:
        size = len(request.tool_results[0].output["result"]) if request.tool_results else len(NEARLY) - 8
        return call("big", size=size + 1) if size < len(NEARLY) else say("done")

    name = model.play(ask)

    result = runtime.run(Agent("row", model=name, tools=[big]), "hi", timeout=300)

    assert (result.output, result.steps) == ("done", 9)
    sizes = [len(r.output["result"]) for request in model.requests(name) for r in request.tool_results]
    assert sizes == [len(NEARLY) - 7 + n for n in range(8)]


def test_large_results_of_one_turn_share_the_room(runtime: AgentRuntime, model: Stage) -> None:
    sizes = [len(NEARLY)] * 4 + [300_000] * 4
    name = model.play([calls(*(call("big", size=size) for size in sizes)), say("done")])

    runtime.run(Agent("share", model=name, tools=[big]), NEARLY, timeout=60)

    told = [result.output for result in model.requests(name)[1].tool_results]
    assert [len(result["result"]) for result in told[4:]] == sizes[4:]
    assert (
        told[:4] == [{"error": "the result takes 2,400,002 bytes, and no more than 312,500 can be carried safely"}] * 4
    )


# ---- from a model --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arrives"),
    # Conductor 3.32 turns a lone surrogate into a question mark.
    [(CONTROLS, CONTROLS), (NUL, NUL), (TOO_LONG, TOO_LONG), (SURROGATE, "a?b")],
    ids=["controls", "NUL", "2.6 MB", "surrogate"],
)
def test_any_text_of_a_model_reaches_the_tool(runtime: AgentRuntime, model: Stage, text: str, arrives: str) -> None:
    received: list[str] = []

    @tool
    def note(text: str) -> int:
        """Note a text."""
        received.append(text)
        return len(text)

    name = model.play([call("note", text=text), say("done")])

    noter = Agent("noter", model=name, tools=[note], model_settings=TALKATIVE)
    assert runtime.run(noter, "hi", timeout=60).output == "done"

    assert received == [arrives]
    assert [r.output for r in model.requests(name)[1].tool_results] == [{"result": len(arrives)}]


BROKEN = {
    "NaN": '{"text": NaN}',
    "depth 2000": '{"text": ' + "[" * 2000 + "]" * 2000 + "}",
    "cut off": '{"text": "ab',
    "no object": "[1]",
    "empty": "",
}


def test_broken_arguments_are_told_to_the_model(runtime: AgentRuntime, model: Stage, subtests: pytest.Subtests) -> None:
    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        return text

    asks = [call("echo", text) for text in BROKEN.values()]
    name = model.play([*asks, calls(*asks), say("done")])

    assert runtime.run(Agent("broken_arguments", model=name, tools=[echo]), "hi", timeout=60).output == "done"

    told = [result.output for request in model.requests(name) for result in request.tool_results]
    for broken, output in zip([*BROKEN, *BROKEN], told, strict=True):
        with subtests.test(broken):
            assert "text: missing" in output["error"]


def test_what_does_not_fit_beside_the_prompt_is_said_to_be_left_out(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        return text

    name = model.play([call("echo", text=NEARLY), say("done")])

    handle = runtime.start(Agent("crowded", model=name, tools=[echo], model_settings=TALKATIVE), NEARLY)
    handle.result(timeout=60)

    asked = model.requests(name)
    assert {request.prompt for request in asked} == {NEARLY}
    assert [turn.arguments for turn in asked[1].messages[1].tool_calls] == [
        {"error": "[2400011 bytes: too large to be shown here]"}
    ]
    assert [r.output for r in asked[1].tool_results] == [{"error": "[2400013 bytes: too large to be shown here]"}]
    assert [event.result for event in handle.stream() if event.type == "tool_result"] == [NEARLY]


@pytest.mark.parametrize("reply", [call("big", size=1, note=HUGE), say(HUGE)], ids=["arguments", "answer"])
def test_what_is_too_large_from_a_model_ends_the_run_with_the_reason(
    runtime: AgentRuntime, model: Stage, reply: Reply
) -> None:
    handle = runtime.start(Agent("too_large", model=model.play([reply]), tools=[big]), "hi")

    with pytest.raises(ExecutionFailed, match=r"payload size: 11000... .*greater than the permissible limit"):
        handle.result(timeout=60)
    assert handle.get_status().error == list(handle.stream())[-1].error


# ---- the server ------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there(model: Stage) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(ServerUnreachable, match=url) as caught, AgentRuntime(url) as runtime:
        runtime.start(Agent("nowhere", model="openai/x"), "hi")

    assert "agentspan server start" in (caught.value.hint or "")


@pytest.mark.parametrize("execution_id", ["nothing", "00000000-0000-0000-0000-000000000000", "a/b?c", "é" * 1_000, "."])
def test_an_execution_that_does_not_exist(runtime: AgentRuntime, execution_id: str) -> None:
    handle = AgentHandle(execution_id=execution_id, runtime=runtime)

    for read in (handle.get_status, handle.result, lambda: list(handle.stream()), handle.cancel):
        with pytest.raises(NotFound, match="no execution"):
            read()


@pytest.mark.parametrize("tools", [[], [big]], ids=["no tools", "tools"])
def test_a_provider_without_a_key_names_the_variable(runtime: AgentRuntime, tools: list[Any]) -> None:
    agent = Agent(f"keyless_{len(tools)}", model="mistral/large", tools=tools, model_retry=Retry(1))
    handle = runtime.start(agent, "hi")
    told = "The Conductor server cannot call mistral: it lacks MISTRAL_API_KEY."

    with pytest.raises(ExecutionFailed) as caught:
        handle.result(timeout=60)

    assert str(caught.value).startswith(f"Run {handle.execution_id} ")
    assert told in str(caught.value)
    assert caught.value.hint == "Set MISTRAL_API_KEY in the environment of the Conductor server, and restart it."
    assert handle.get_status().error == told
    assert [(event.type, event.error) for event in handle.stream()] == [("step", None), ("error", told)]
