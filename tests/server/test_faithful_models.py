"""Agents whose model a worker calls, against each provider's HTTP with its rules: nothing that a model said is lost."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentResult,
    AgentRuntime,
    ContextBudget,
    ExecutionFailed,
    ModelSettings,
    Retry,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, calls, fail, refuse, say
from agentspan.testing.plugin import Stage

NAMES = {
    "responses": ("openai", "gpt-5"),
    "chat": ("openai", "llama"),
    "anthropic": ("anthropic", "claude-sonnet-4-6"),
    "gemini": ("gemini", "gemini-3-pro-preview"),
}
PROVIDERS = list(NAMES)
THINKS = ModelSettings(max_tokens=4096, thinking_tokens=1024)
PLAIN = ModelSettings()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def providers(model_stage: Stage) -> Iterator[None]:
    """The addresses and keys of all providers, as a worker has them in its environment."""
    urls = {"OPENAI_BASE_URL": model_stage.server.openai_url}
    urls |= dict.fromkeys(("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"), model_stage.server.anthropic_url)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in urls.items():
            patch.setenv(name, value)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.setenv(name, "none")
        yield


@pytest.fixture(scope="module")
def opened(conductor_url: str, providers: None) -> Iterator[AgentRuntime]:
    with AgentRuntime(conductor_url) as runtime:
        yield runtime


@dataclass
class Played:
    """Agents of one provider, and what became of them."""

    provider: str
    runtime: AgentRuntime
    stage: Stage

    def model(self, script: Any, provider: str | None = None) -> str:
        kind, prefix = NAMES[provider or self.provider]
        return self.stage.play(script, kind, name=f"{prefix}-{next(_numbers)}")

    def agent(self, script: Any, *tools: Any, settings: ModelSettings = PLAIN, **values: Any) -> Agent:
        if self.provider == "chat":
            settings = ModelSettings(base_url=self.stage.server.openai_url, max_tokens=settings.max_tokens)
        given = {"model": self.model(script), "model_settings": settings, **values}
        return Agent(f"faithful_{self.provider}", tools=tools, model_place="worker", **given)

    def start(self, agent: Agent) -> AgentHandle:
        return self.runtime.start(agent, "Go.")

    def run(self, script: Any, *tools: Any, **values: Any) -> tuple[AgentResult, list[ModelRequest], AgentHandle]:
        agent = self.agent(script, *tools, **values)
        handle = self.start(agent)
        return handle.result(60), self.stage.requests(agent.model), handle


@pytest.fixture(params=PROVIDERS)
def played(request: pytest.FixtureRequest, opened: AgentRuntime, model: Stage) -> Played:
    return Played(request.param, opened, model)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def counted() -> tuple[Any, list[tuple[int, int]]]:
    made: list[tuple[int, int]] = []

    @tool
    def add(a: int = 0, b: int = 0) -> int:
        """Add two numbers."""
        made.append((a, b))
        return a + b

    return add, made


def values(request: ModelRequest) -> list[Any]:
    """What the tools answered, however a provider's wire wraps it."""
    return [
        found.get("return_value", found) if isinstance(found := each.output, dict) else found
        for each in request.tool_results
    ]


def test_a_text(played: Played) -> None:
    result, (request,), _ = played.run([say("Whales sing.")])
    assert (result.output, result.finish_reason, request.prompt) == ("Whales sing.", "stop", "Go.")


def test_one_call(played: Played) -> None:
    result, requests, _ = played.run([call("add", a=1, b=2), say("3")], add)
    assert (result.output, values(requests[1])) == ("3", [3])


IDS = {"none": ("", ""), "the same": ("same", "same"), "one": ("one", "")}


@pytest.mark.parametrize("ids", IDS)
def test_parallel_calls_get_their_own_results(played: Played, ids: str) -> None:
    both = calls(call("add", a=1, b=2), call("add", a=3, b=4)).with_ids(*IDS[ids])
    result, requests, handle = played.run([both, both, say("done")], add)

    assert result.output == "done"
    assert [values(request) for request in requests] == [[], [3, 7], [3, 7]]
    called = [event.call_id for event in handle.stream() if event.type == "tool_call"]
    assert len(set(called)) == 4, "each call is another one, also in the next turn"


def test_thoughts_and_texts_are_kept_and_told(played: Played) -> None:
    script = [
        calls(call("add", a=1, b=2), call("add", a=3, b=4), text="I add.").thought("Two sums, I think."),
        call("add", a=5, b=6).thought("One more."),
        say("All added.").thought("That was it."),
    ]
    result, requests, handle = played.run(script, add, settings=THINKS)

    assert result.output == "All added."
    assert [request.messages[1].text for request in requests[1:]] == ["I add."] * 2
    events = list(handle.stream())
    assert [(event.type, event.content) for event in events if event.type in ("thinking", "message")] == [
        ("thinking", "Two sums, I think."),
        ("message", "I add."),
        ("thinking", "One more."),
        ("thinking", "That was it."),
    ]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events[:4]] == ["step", "thinking", "message", "tool_call"]
    assert [event.type for event in events[-2:]] == ["thinking", "done"]
    first, _, last = handle.steps()
    assert (first.model.thinking, first.model.text, first.model.answer) == ("Two sums, I think.", "I add.", None)
    assert (last.model.thinking, last.model.text, last.model.answer) == ("That was it.", "", "All added.")


def test_a_worker_that_knows_nothing_sends_back_what_was_said(played: Played, conductor_url: str) -> None:
    """It reads the run as it is stored, signatures and all."""
    broken = [True]

    def script(request: ModelRequest) -> Reply:
        if request.turn < 2:
            return calls(call("add", a=1, b=2), call("add", a=3, b=request.turn), text="I add.").thought("Sums.")
        return fail(401, "no such key") if broken[0] else say("done")

    agent = played.agent(script, add, settings=THINKS)
    with AgentRuntime(conductor_url) as first:
        handle = first.start(agent, "Go.")
        with pytest.raises(ExecutionFailed, match="no such key"):
            handle.result(60)
    broken[0] = False
    played.runtime.serve(agent, blocking=False)
    again = played.runtime.handle(handle.execution_id)
    again.retry()
    assert again.result(60).output == "done"
    *_, before, last = played.stage.requests(agent.model)
    assert last.body == before.body


def test_arguments_that_are_no_json_never_run_a_tool(played: Played) -> None:
    tries = itertools.count()

    def script(request: ModelRequest) -> Reply:
        if next(tries) == 0:
            return call("add", '{"a": 1, "b": ')
        return call("add", a=1, b=2) if not made else say("3")

    add, made = counted()
    result, requests, handle = played.run(script, add, model_retry=Retry(2, delay=0))

    assert (result.output, made) == ("3", [(1, 2)])
    if played.provider == "gemini":  # it says so itself, and nothing of the call: it is asked again
        assert [event.error for event in handle.stream() if event.type == "model_retry"] == [
            "The model's provider could not read the model's own call: MALFORMED_FUNCTION_CALL."
        ]
    else:
        assert values(requests[1]) == [{"error": "Not called: its arguments are no JSON object. Call again."}]


def test_a_call_that_was_cut_off_is_not_made(played: Played) -> None:
    add, made = counted()
    cut = calls(call("add", a=1), call("add", '{"a": 1, "b')).ending("length")
    if played.provider == "gemini":
        cut = calls(call("add", a=1), call("add")).ending("length")
    result, requests, _ = played.run([cut, call("add", a=1, b=2), say("3")], add)

    assert (result.output, made) == ("3", [(1, 2)])
    told = [each["error"] for each in values(requests[1])]
    assert len(told) == 2
    assert all(each.startswith("Not called: your answer was cut off at its longest") for each in told)


def test_a_refusal(played: Played) -> None:
    result, _, _ = played.run([refuse("I can't help with that.")], add)
    assert result.output == "I can't help with that."
    assert result.finish_reason == ("stop" if played.provider == "gemini" else "content_filter")


def test_an_empty_answer(played: Played) -> None:
    result, _, _ = played.run([say("")], add)
    assert (result.output, result.finish_reason) == ("", "empty")


@pytest.mark.parametrize("text", ["", "Whales"])
def test_a_content_filter(played: Played, text: str) -> None:
    result, _, _ = played.run([say(text, finish="content_filter")], add)
    assert (result.output, result.finish_reason) == (text, "content_filter")


def test_calls_are_made_whatever_reason_for_the_end_is_named(played: Played) -> None:
    result, requests, _ = played.run([call("add", a=1, b=2).ending("stop"), say("3")], add)
    assert (result.output, values(requests[1])) == ("3", [3])


def test_thoughts_between_calls_are_none_of_anthropics_business(opened: AgentRuntime, model: Stage) -> None:
    """It thinks once after a prompt, and need not again; how its calls begin is what it looks at."""
    played = Played("anthropic", opened, model)
    result, requests, _ = played.run(
        [call("add", a=1, b=2).thought("One, two."), call("add", a=3, b=4), say("done")], add, settings=THINKS
    )
    assert result.output == "done"
    assert all("thinking" in request.body for request in requests)


def test_it_goes_on_without_thinking_when_its_thought_is_left_out(opened: AgentRuntime, model: Stage) -> None:
    played = Played("anthropic", opened, model)

    @tool
    def page(number: int) -> str:
        """A page."""
        return f"{number} " + 1000 * "x"

    asked = itertools.count(1)

    def script(_: ModelRequest) -> Reply:
        number = next(asked)
        if number > 8:
            return say("read")
        return call("page", number=number).thought("I read.") if number == 1 else call("page", number=number)

    budget = ContextBudget(max_chars=4000, keep_chars=2000)
    result, requests, _ = played.run(script, page, settings=ModelSettings(thinking_tokens=5000), context=budget)

    assert result.output == "read"
    assert (requests[0].body["thinking"], requests[0].body["max_tokens"]) == (
        {"type": "enabled", "budget_tokens": 5000},
        5000 + 8192,
    )
    assert "thinking" not in requests[-1].body


def test_an_image_of_the_model_goes_back(opened: AgentRuntime, model: Stage) -> None:
    played = Played("gemini", opened, model)
    picture = b"\x89PNG not quite"
    _, requests, _ = played.run([replace(call("add", a=1, b=2), image=picture), say("done")], add)
    sent = [
        part["inlineData"]["data"]
        for each in requests[1].body["contents"]
        for part in each["parts"]
        if "inlineData" in part
    ]
    assert [base64.b64decode(data, altchars=b"-_") for data in sent] == [picture]


def test_a_schema_with_references(played: Played) -> None:
    @dataclass
    class Point:
        x: int
        y: int

    @tool
    def distance(a: Point, b: Point) -> int:
        """How far it is."""
        return abs(a.x - b.x) + abs(a.y - b.y)

    result, requests, _ = played.run([call("distance", a={"x": 0, "y": 0}, b={"x": 1, "y": 2}), say("3")], distance)
    assert (result.output, values(requests[1])) == ("3", [3])


WAITS: dict[str, Callable[[], float | datetime]] = {
    "seconds": lambda: 1,
    "a date": lambda: datetime.now(UTC) + timedelta(seconds=1),
}


@pytest.mark.parametrize("form", WAITS)
def test_retry_after(played: Played, form: str) -> None:
    tries = itertools.count()

    def script(_: ModelRequest) -> Reply:
        return fail(429, "slow down", retry_after=WAITS[form]()) if next(tries) == 0 else say("ok")

    # Its own delay would be longer than the test may take.
    result, requests, _ = played.run(script, model_retry=Retry(2, delay=3600))
    assert (result.output, len(requests)) == ("ok", 2)


def two(opened: AgentRuntime, model: Stage, first: Any, second: Any, **values: Any) -> tuple[Agent, AgentHandle]:
    """A run of an agent of two models: the provider and the script of each."""
    played = Played("", opened, model)
    models = tuple(played.model(script, provider) for provider, script in (first, second))
    agent = Agent("faithful_two", model=models, model_place="worker", **values)
    return agent, opened.start(agent, "Go.")


def no_reply(_: ModelRequest) -> Reply:
    raise AssertionError("it is not asked")


@pytest.mark.parametrize(("first", "second"), [("anthropic", "responses"), ("responses", "anthropic")])
def test_a_run_goes_on_with_another_provider_and_comes_back(
    opened: AgentRuntime, model: Stage, first: str, second: str
) -> None:
    """What one provider has signed is a text to the other, and comes back to the first as it was."""

    def begins(request: ModelRequest) -> Reply:
        if request.turn in (1, 2):
            return fail(529, "Overloaded.") if request.provider == "anthropic" else fail(503, "Overloaded.")
        return call("add", a=1, b=2).thought("I begin.") if request.turn == 0 else say("done").thought("At last.")

    def helps(request: ModelRequest) -> Reply:
        return calls(call("add", a=3, b=4), call("add", a=request.turn, b=6), text="I help.").thought("A turn of mine.")

    agent, handle = two(opened, model, (first, begins), (second, helps), tools=[add], model_settings=THINKS)

    assert handle.result(60).output == "done"
    ours, theirs = agent.model, agent.fallback_models[0]
    assert [step.model.model for step in handle.steps()] == [ours, theirs, theirs, ours]
    status = 529 if first == "anthropic" else 503
    told = f"{ours}: The model's provider answered {status}: Overloaded."
    retried = [(event.step, event.attempt, event.error) for event in handle.stream() if event.type == "model_retry"]
    assert retried == [(2, 1, told), (3, 1, told)]
    assert [step.model.passed_over[0].model for step in handle.steps()[1:3]] == [ours, ours]
    assert [len(model.requests(name)) for name in (ours, theirs)] == [4, 2]
    last = model.requests(ours)[-1]
    assert [len(turn.tool_results) for turn in last.messages if turn.role == "tool"] == [1, 2, 2]
    assert [event.content for event in handle.stream() if event.type == "thinking"] == [
        "I begin.",
        "A turn of mine.",
        "A turn of mine.",
        "At last.",
    ]


@pytest.mark.parametrize("trouble", [fail(401, "no such key"), fail(404, "no such model"), fail(429), fail(500)])
def test_the_next_model_is_asked_at_once(opened: AgentRuntime, model: Stage, trouble: Reply) -> None:
    agent, handle = two(opened, model, ("gemini", lambda _: trouble), ("responses", [say("here")]))
    assert handle.result(60).output == "here"
    assert len(model.requests(agent.model)) == 1


def test_the_first_model_that_answers_is_the_only_one_that_is_asked(opened: AgentRuntime, model: Stage) -> None:
    agent, handle = two(opened, model, ("anthropic", [say("here")]), ("responses", no_reply))
    assert handle.result(60).output == "here"
    (step,) = handle.steps()
    assert (step.model.model, step.model.passed_over) == (agent.model, ())


def test_all_models_are_asked_again_by_the_policy_of_the_agent(opened: AgentRuntime, model: Stage) -> None:
    tries = itertools.count()

    def busy(_: ModelRequest) -> Reply:
        return fail(503, "busy") if next(tries) < 1 else say("here")

    agent, handle = two(
        opened, model, ("chat", busy), ("anthropic", lambda _: fail(400, "no")), model_retry=Retry(2, delay=0)
    )
    assert handle.result(60).output == "here"
    (retried,) = [event.error for event in handle.stream() if event.type == "model_retry"]
    assert retried is not None
    assert retried.startswith("None of the agent's models answers. ")
    for name in (agent.model, *agent.fallback_models):
        assert name in retried
    assert len(model.requests(agent.model)) == 2


def test_models_that_all_refuse(opened: AgentRuntime, model: Stage) -> None:
    no = [fail(400, "no")]
    agent, handle = two(opened, model, ("chat", no), ("anthropic", no), model_retry=Retry(2, delay=0))
    with pytest.raises(ExecutionFailed, match="None of the agent's models answers") as raised:
        handle.result(60)
    assert all(name in str(raised.value) for name in (agent.model, *agent.fallback_models))
    assert len(model.requests(agent.model)) == 1, "a refusal is final"
