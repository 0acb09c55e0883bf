"""Agents whose model a worker calls, on the real server, with a provider's real HTTP."""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ContextBudget,
    ExecutionFailed,
    ModelSettings,
    Retry,
    RetryTool,
    tool,
)
from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage


@pytest.fixture
def settings(model: Stage) -> ModelSettings:
    return ModelSettings(base_url=model.server.openai_url)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_run_of_calls(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    script = [call("add", a=1, b=2), calls(call("add", a=3, b=4), call("add", a=5, b=6)), say("21")]
    name = model.play(script)
    agent = Agent("thin", model=name, tools=[add], model_place="worker", model_settings=settings)

    result = runtime.run(agent, "Sum up.", timeout=60)

    assert (result.output, result.steps) == ("21", 3)
    assert [r.output for r in model.requests(name)[-1].tool_results] == [7, 11]


def thin(name: str, model: Stage, script: object, settings: ModelSettings, *tools: object, **values: object) -> Agent:
    played = model.play(script)  # type: ignore[arg-type]
    given = {"model_settings": settings, "model_place": "worker", **values}
    return Agent(name, model=played, tools=tools, **given)  # type: ignore[arg-type]


def test_an_agent_without_tools(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    agent = thin(
        "thin_plain", model, lambda _: say("four"), settings, instructions="Say ${workflow.input.prompt} in words."
    )
    before = [{"role": "user", "message": "2?"}, {"role": "assistant", "message": "two"}]

    result = runtime.run(agent, "4?", messages=before, timeout=60)

    assert (result.output, result.steps, result.finish_reason) == ("four", 1, "stop")
    (request,) = model.requests(agent.model)
    assert request.system == "Say ${workflow.input.prompt} in words."
    assert [(turn.role, turn.text) for turn in request.messages] == [
        ("user", "2?"),
        ("assistant", "two"),
        ("user", "4?"),
    ]


TEXTS = [
    '{"a": 1}',
    '{"a": 1} and more',
    "[1, 2",
    "null",
    "```json\n{}\n```",
    " spaces around \n",
    "${workflow.input.prompt}",
    "1.50",
    "text-12345678: begins like a mark",
    "\u0000 and 😀 and \ud7ff".replace("\u0000", "\u2028"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_arrive_to_the_byte(runtime: AgentRuntime, model: Stage, settings: ModelSettings, text: str) -> None:
    """As an argument, as a result and as the answer."""
    heard: list[str] = []

    @tool
    def echo(text: str) -> str:
        """Give it back."""
        heard.append(text)
        return text

    agent = thin("thin_echo", model, [call("echo", text=text), say(text)], settings, echo)

    assert runtime.run(agent, "Go.", timeout=60).output == text
    assert heard == [text]
    assert model.requests(agent.model)[-1].tool_results[0].text == text


def test_many_segments_and_a_worker_that_knows_nothing(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings, conductor_url: str
) -> None:
    """The second worker reads what the first one had in memory; the requests are the same."""

    def reply(request: ModelRequest) -> Reply:
        return call("count", number=request.turn) if request.turn < 20 else say("20")

    numbers: list[int] = []
    taken = threading.Event()

    @tool
    def count(number: int) -> int:
        """Note it."""
        numbers.append(number)
        if number == 11 and not taken.is_set():
            taken.set()
            raise RetryTool("elsewhere", after=0)
        return number

    agent = thin("thin_long", model, reply, settings, count)
    with AgentRuntime(conductor_url) as first:
        handle = first.start(agent, "Count.")
        assert taken.wait(60)
    runtime.serve(agent, blocking=False)
    result = runtime.handle(handle.execution_id).result(60)

    assert (result.output, result.steps) == ("20", 21)
    assert sorted(set(numbers)) == list(range(20))
    last = model.requests(agent.model)[-1]
    assert [r.output for r in last.tool_results] == [19]
    assert len(last.messages) == 41
    assert [event.type for event in handle.stream()].count("tool_result") == 20


def test_a_provider_that_refuses_and_a_retry(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    broken = [True]

    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("add", a=1, b=2)
        return fail(401, "no such key") if broken[0] else say("3")

    agent = thin("thin_refused", model, reply, settings, add)
    handle = runtime.start(agent, "Go.")
    with pytest.raises(ExecutionFailed, match="answered 401: no such key") as raised:
        handle.result(60)
    assert raised.value.result is not None
    assert (raised.value.result.steps, raised.value.result.status) == (2, "FAILED")
    assert raised.value.hint == "Check the provider's key in the environment of the worker, then retry the run."
    asked = len(model.requests(agent.model))
    assert asked == 2, "a refusal is final"

    broken[0] = False
    handle.retry()
    assert handle.result(60).output == "3"
    types = [event.type for event in handle.stream()]
    assert types == ["step", "tool_call", "tool_result", "step", "error", "resumed", "done"]


def test_a_provider_that_is_busy_is_asked_again_once_for_each_try(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings
) -> None:
    tries = itertools.count()

    def reply(_: ModelRequest) -> Reply:
        return fail(503, "too busy") if next(tries) < 2 else say("done")

    agent = thin("thin_busy", model, reply, settings, model_retry=Retry(3, delay=0))
    handle = runtime.start(agent, "Go.")

    assert handle.result(60).output == "done"
    assert next(tries) == 3
    retried = [(event.attempt, event.error) for event in handle.stream() if event.type == "model_retry"]
    assert retried == [(n, "The model's provider answered 503: too busy") for n in (1, 2)]
    (step,) = handle.steps()
    assert [attempt.status for attempt in step.model.attempts] == ["failed", "failed", "done"]


def test_a_provider_that_is_busy_for_too_long(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    agent = thin("thin_too_busy", model, lambda _: fail(503, "too busy"), settings, model_retry=Retry(2, delay=0))
    with pytest.raises(ExecutionFailed, match="answered 503: too busy"):
        runtime.run(agent, "Go.", timeout=60)
    assert len(model.requests(agent.model)) == 2


def test_calls_that_cannot_be_made(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    script = [call("nosuch"), calls(call("add", a=1, b=2), call("nosuch")), say("3")]
    agent = thin("thin_nosuch", model, script, settings, add)

    assert runtime.run(agent, "Go.", timeout=60).output == "3"
    requests = model.requests(agent.model)
    assert requests[1].tool_results[0].output == {"error": "There is no tool named nosuch. The tools are: add."}
    assert [r.output for r in requests[2].tool_results] == [
        3,
        {"error": "There is no tool named nosuch. The tools are: add."},
    ]


def test_it_runs_out_of_turns(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    agent = thin("thin_endless", model, lambda _: call("add", a=1, b=2), settings, add, max_turns=3)
    with pytest.raises(ExecutionFailed, match="used all of its 3 turns"):
        runtime.run(agent, "Go.", timeout=60)
    assert len(model.requests(agent.model)) == 3


def test_old_exchanges_are_left_out_in_large_bites(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings
) -> None:
    @tool
    def page(number: int) -> str:
        """A page."""
        return f"{number} " + 1000 * "x"

    def reply(request: ModelRequest) -> Reply:
        asked = len(model.requests(agent.model))
        return call("page", number=asked) if asked < 14 else say("read")

    agent = thin("thin_trimmed", model, [], settings, page, context=ContextBudget(max_chars=6000, keep_chars=3000))
    model.play(reply, name=agent.model.partition("/")[2])

    assert runtime.run(agent, "Read.", timeout=60).output == "read"
    sizes = [len(json.dumps(request.body)) for request in model.requests(agent.model)]
    assert max(sizes) < 10_000
    assert "earlier tool exchanges were left out" in json.dumps(model.requests(agent.model)[-1].body)


TOO_LONG = {
    "openai": "This model's maximum context length is 1000 tokens. However, your messages resulted in 1200 tokens.",
    "anthropic": "prompt is too long: 1200 tokens > 1000 maximum",
    "google_gemini": "The input token count (1200) exceeds the maximum number of tokens allowed (1000).",
}


@pytest.mark.parametrize("provider", TOO_LONG)
def test_a_conversation_that_is_too_long_for_the_model_goes_on_with_less_of_it(
    runtime: AgentRuntime, model: Stage, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "none")

    @tool
    def page(number: int) -> str:
        """A page."""
        return f"{number} " + 1000 * "x"

    refused: list[int] = []

    def reply(request: ModelRequest) -> Reply:
        size = len(json.dumps(request.body))
        if size > 6000:
            refused.append(size)
            return fail(400, TOO_LONG[provider])
        asked = len(model.requests(agent.model)) - len(refused)
        return call("page", number=asked) if asked < 14 else say("read")

    server = model.server
    urls = {"openai": server.openai_url, "anthropic": server.anthropic_url, "google_gemini": server.gemini_url}
    played = model.play(reply, provider=provider)
    settings = ModelSettings(base_url=urls[provider])
    name = f"too_long_{provider}"
    agent = Agent(name, model=played, tools=[page], model_place="worker", model_settings=settings)

    result = runtime.run(agent, "Read.", timeout=60)

    assert (result.output, result.steps) == ("read", 14)
    assert 0 < len(refused) < 5  # once, and rarely: what was learnt holds for the rest of the run


def test_a_prompt_that_is_too_long_for_the_model_ends_the_run(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings
) -> None:
    agent = thin("too_long_prompt", model, [fail(400, TOO_LONG["openai"])], settings)
    with pytest.raises(ExecutionFailed, match="maximum context length"):
        runtime.run(agent, "x" * 5000, timeout=60)
    assert len(model.requests(agent.model)) == 1


def test_a_result_longer_than_the_budget_is_cut_for_the_model_and_kept_whole(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings
) -> None:
    @tool
    def book() -> str:
        """A book."""
        return "é" * 5000  # twice as many bytes, and about as many tokens as those

    budget = ContextBudget(max_chars=2000)
    agent = thin("long_result", model, [call("book"), say("read")], settings, book, context=budget)

    handle = runtime.start(agent, "Read.")

    assert handle.result(timeout=60).output == "read"
    (told,) = model.requests(agent.model)[-1].tool_results
    assert len(str(told.output)) < 1200
    assert "of 5,000 characters, to keep this conversation within its budget.]" in str(told.output)
    assert handle.steps()[0].calls[0].result == "é" * 5000


def test_a_model_without_a_worker_is_missed(runtime: AgentRuntime, model: Stage, settings: ModelSettings) -> None:
    agent = thin("thin_unserved", model, [say("done")], settings, add)
    handle = runtime.start(agent, "Go.", serve=False)

    wait_until(lambda: handle.get_status().missing_workers, "the status to say that it waits", 60)
    (reason,) = handle.get_status().waits
    assert (reason.kind, reason.tool) == ("missing_worker", "model")
    runtime.serve(agent, blocking=False)
    assert handle.result(60).output == "done"
    assert [event.type for event in handle.stream()] == ["step", "waiting", "resumed", "done"]


def test_the_setting_chooses_for_agents_that_do_not_say(
    conductor_url: str, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    agent = Agent("placed", model=model.play([say(" done\n")]))
    with AgentRuntime(conductor_url, model_place="worker") as runtime:
        handle = runtime.start(agent, "Go.")
        assert handle.result(60).output == " done\n"
    assert runtime.client.workflow(handle.execution_id).workflow_definition["metadata"]["format"] == 2


def test_models_answer_side_by_side_whatever_the_places(model: Stage, conductor_url: str) -> None:
    together = threading.Barrier(40)

    def reply(request: ModelRequest) -> Reply:
        together.wait(30)  # each waits for all the others
        return say("here")

    with AgentRuntime(conductor_url, concurrency=2) as runtime:
        agent = thin("thin_many", model, reply, ModelSettings(base_url=model.server.openai_url))
        handles = [runtime.start(agent, str(number)) for number in range(together.parties)]
        assert [handle.result(timeout=60).output for handle in handles] == ["here"] * together.parties


def test_a_worker_that_has_made_all_calls_of_a_turn_does_not_read_it_again(
    runtime: AgentRuntime, model: Stage, settings: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    tasks = Conductor.tasks

    def counted(self: Conductor, execution_id: str, *args: object) -> list[TaskRecord]:
        reads.append(execution_id)
        return tasks(self, execution_id, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Conductor, "tasks", counted)
    script = [*(call("add", a=number, b=1) for number in range(10)), say("done")]
    name = model.play(script)
    agent = Agent("thin_known", model=name, tools=[add], model_place="worker", model_settings=settings)

    assert runtime.run(agent, "Count.", timeout=60).steps == 11
    assert not reads
    told = [result.output for turn in model.requests(name)[-1].messages for result in turn.tool_results]
    assert told == list(range(1, 11))


@pytest.mark.parametrize("key", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize(
    ("named", "missing"),
    [("openai/gpt-4o", "OPENAI_API_KEY"), ("anthropic/claude-opus-4-8", "ANTHROPIC_API_KEY"), ("nobody/x", "nobody")],
)
def test_a_worker_without_a_key_ends_the_run_at_once(
    runtime: AgentRuntime, monkeypatch: pytest.MonkeyPatch, named: str, missing: str, key: str | None
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        if key is not None:
            monkeypatch.setenv(name, key)
    agent = Agent(f"keyless_{missing.lower()}_{key is None}", model=named, model_place="worker")

    with pytest.raises(ExecutionFailed, match=f"The worker cannot call {named}: .*{missing}"):
        runtime.run(agent, "Hello?", timeout=60)
