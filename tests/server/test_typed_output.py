"""Agents whose answers have a type, on the real server, with a provider's real HTTP."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ExecutionFailed,
    ModelSettings,
    OutputInvalid,
    Retry,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage


class Line(BaseModel):
    what: str
    cents: int


class Invoice(BaseModel):
    """An invoice."""

    number: str
    lines: list[Line]


class Refusal(BaseModel):
    why: str


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int


INVOICE = Invoice(number="A-1", lines=[Line(what="tea", cents=350)])
FITS = say(INVOICE.model_dump_json())
PLAIN = ModelSettings()
DOES_NOT = say('{"number": "A-1", "lines": [{"what": "tea", "cents": "much"}]}')


@tool
def price(what: str) -> int:
    """What a thing costs, in cents."""
    return 350


def worker(name: str, model: Stage, script: Any, output_type: Any = Invoice, **options: Any) -> Agent[Any]:
    settings = ModelSettings(base_url=model.server.openai_url)
    played = model.play(script)
    return Agent(name, model=played, output_type=output_type, model_place="worker", model_settings=settings, **options)


def test_an_answer_is_a_value(runtime: AgentRuntime, model: Stage) -> None:
    agent = worker("typed_plain", model, [FITS])

    result = runtime.run(agent, "Read it.", timeout=60)

    assert result.output == INVOICE
    assert (result.steps, result.finish_reason, result.to_json()["output"]) == (1, "stop", INVOICE.model_dump())
    (request,) = model.requests(agent.model)
    told = request.body["response_format"]["json_schema"]
    assert (told["name"], told["schema"]["required"]) == ("Invoice", ["number", "lines"])
    assert request.tools == ()


def test_another_process_reads_it(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    handle = runtime.start(worker("typed_elsewhere", model, [FITS]), "Read it.")
    handle.result(60)

    other = AgentRuntime(conductor_url)
    assert other.handle(handle.execution_id, Invoice).result(60).output == INVOICE
    assert other.handle(handle.execution_id).result(60).output == INVOICE.model_dump()
    assert [event.output for event in handle.stream()][-1] == INVOICE.model_dump()
    assert json.loads(handle.get_status().output or "") == INVOICE.model_dump()
    with pytest.raises(OutputInvalid, match="is no Point: x: Field required"):
        other.handle(handle.execution_id, Point).result(60)


KINDS: list[tuple[Any, str, object]] = [
    (list[int], '{"response": [1, 2]}', [1, 2]),
    (Literal["yes", "no"], '{"response": "yes"}', "yes"),
    (Colour, '{"response": "red"}', Colour.RED),
    (float, '{"response": 1.5}', 1.5),
    (int | None, '{"response": null}', None),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (Invoice | Refusal, '{"response": {"why": "no invoice"}}', Refusal(why="no invoice")),
    (dict[str, int], '{"response": {"a": 1}}', {"a": 1}),
]


@pytest.mark.parametrize("place", ["worker", "server"])
@pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=[str(kind) for kind, _, _ in KINDS])
def test_any_type(runtime: AgentRuntime, model: Stage, place: str, kind: Any, text: str, value: object) -> None:
    agent = worker("typed_kinds", model, [say(text)], kind)
    if place == "server":
        agent = Agent("typed_kinds_server", model=agent.model, output_type=kind)

    assert runtime.run(agent, "Go.", timeout=60).output == value


@pytest.mark.parametrize("place", ["worker", "server"])
def test_what_does_not_fit_is_sent_back_with_the_reasons(runtime: AgentRuntime, model: Stage, place: str) -> None:
    def reply(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("price", what="tea")
        return [DOES_NOT, say("no JSON"), FITS][request.turn - 1]

    agent = worker("typed_sent_back", model, reply, tools=[price])
    if place == "server":
        agent = Agent("typed_sent_back_server", model=agent.model, output_type=Invoice, tools=[price])
    handle = runtime.start(agent, "Read it.")
    result = handle.result(60)

    assert (result.output, result.steps) == (INVOICE, 4)
    last = model.requests(agent.model)[-1]
    assert [turn.role for turn in last.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert last.messages[3].text.startswith('{"number"')
    assert "lines.0.cents: Input should be a valid integer" in last.messages[4].text
    assert "the answer is no JSON" in last.messages[6].text
    assert [offered.name for offered in last.tools] == ["price"]
    events = [(event.type, event.step) for event in handle.stream() if event.type in ("model_retry", "done")]
    assert events == [("model_retry", 2), ("model_retry", 3), ("done", 4)]


@pytest.mark.parametrize("tools", [[], [price]], ids=["alone", "with tools"])
@pytest.mark.parametrize("place", ["worker", "server"])
def test_it_fails_in_the_end(runtime: AgentRuntime, model: Stage, place: str, tools: list[Any]) -> None:
    agent = worker("typed_never", model, lambda _: DOES_NOT, tools=tools, output_retries=1)
    if place == "server":
        agent = Agent("typed_never_server", model=agent.model, output_type=Invoice, tools=tools, output_retries=1)
    handle = runtime.start(agent, "Read it.")

    with pytest.raises(OutputInvalid, match="does not fit its output_type") as raised:
        handle.result(60)

    assert len(model.requests(agent.model)) == 2
    assert json.loads(str(raised.value.raw)) == json.loads(DOES_NOT.text)
    (reason,) = raised.value.reasons
    assert reason.startswith("lines.0.cents: Input should be a valid integer")
    assert raised.value.result is not None
    assert raised.value.result.finish_reason == "invalid_output"
    assert [event.type for event in handle.stream()][-2:] == ["step", "error"]


# ---- validators ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["worker", "server"])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_validator_sends_answers_back(runtime: AgentRuntime, model: Stage, place: str, kind: str) -> None:
    seen: list[Invoice] = []

    def check(invoice: Invoice) -> None:
        seen.append(invoice)
        if invoice.number == "A-1":
            raise ValueError("there is no invoice A-1")

    async def check_async(invoice: Invoice) -> None:
        check(invoice)

    other = INVOICE.model_copy(update={"number": "A-2"})
    agent = worker(
        "typed_validated",
        model,
        [FITS, DOES_NOT, say(other.model_dump_json())],
        output_validators=[check if kind == "plain" else check_async],
    )
    if place == "server":
        agent = dataclasses.replace(agent, name="typed_validated_server", model_place=None, model_settings=PLAIN)
    handle = runtime.start(agent, "Read it.")

    assert handle.result(60).output == other
    assert seen == [INVOICE, other]
    last = model.requests(agent.model)[-1]
    assert json.loads(last.messages[1].text) == INVOICE.model_dump()
    assert "there is no invoice A-1" in last.messages[2].text
    errors = [event.error or "" for event in handle.stream() if event.type == "model_retry"]
    assert ["no invoice A-1" in errors[0], "lines.0.cents" in errors[1]] == [True, True]


def test_a_validator_that_fails_is_tried_again_and_then_ends_the_run(runtime: AgentRuntime, model: Stage) -> None:
    tries: list[int] = []

    def check(invoice: Invoice) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise OSError("the ledger is away")

    agent = worker(
        "typed_broken", model, [FITS], output_validators=[check], model_retry=Retry(3, delay=0, backoff="fixed")
    )
    handle = runtime.start(agent, "Read it.")
    with pytest.raises(ExecutionFailed, match="the ledger is away"):
        handle.result(60)
    handle.retry()

    assert handle.result(60).output == INVOICE
    assert (len(tries), len(model.requests(agent.model))) == (4, 1)


@pytest.mark.parametrize("place", ["worker", "server"])
def test_no_validator_looks_where_the_turns_are_used_up(runtime: AgentRuntime, model: Stage, place: str) -> None:
    agent = worker("typed_out", model, lambda _: call("price", what="tea"), tools=[price], max_turns=2)
    agent = dataclasses.replace(agent, output_validators=[str])
    if place == "server":
        agent = dataclasses.replace(agent, name="typed_out_server", model_place=None, model_settings=PLAIN)

    with pytest.raises(ExecutionFailed, match="used all of its 2 turns"):
        runtime.run(agent, "Read it.", timeout=60)
    assert len(model.requests(agent.model)) == 2


@pytest.mark.parametrize("place", ["worker", "server"])
def test_a_worker_of_another_version_hands_it_on(
    runtime: AgentRuntime, model: Stage, conductor_url: str, place: str
) -> None:
    agent = worker("typed_versions", model, [FITS])
    if place == "server":
        agent = dataclasses.replace(agent, name="typed_versions_server", model_place=None, model_settings=PLAIN)
    handle = runtime.start(agent, "Read it.", serve=False)

    with AgentRuntime(conductor_url) as newer:
        newer.serve(dataclasses.replace(agent, output_type=Refusal), blocking=False)
        wait_until(lambda: handle.get_status().missing_workers, "the call to be handed back")
        (missing,) = handle.get_status().missing_workers
    runtime.serve(agent, blocking=False)

    assert "another output_type" in (missing.mismatch or "")
    assert handle.result(60).output == INVOICE
    assert len(model.requests(agent.model)) == 1


def test_the_command_line_shows_json(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    done = runtime.start(worker("typed_shown", model, [FITS]), "Read it.")
    failed = runtime.start(worker("typed_shown_not", model, [DOES_NOT], output_retries=0), "Read it.")
    done.result(60)
    with pytest.raises(OutputInvalid):
        failed.result(60)

    def shown(*words: str) -> str:
        return CliRunner().invoke(main, ["--server", conductor_url, "agent", *words]).output

    assert json.loads(shown("result", done.execution_id)) == INVOICE.model_dump()
    assert json.loads(shown("result", done.execution_id, "-o", "json"))["output"] == INVOICE.model_dump()
    assert json.loads(shown("stream", done.execution_id).splitlines()[-1]) == INVOICE.model_dump()
    assert "more output_retries" in shown("why", failed.execution_id)
    assert "lines.0.cents" in shown("status", failed.execution_id)


@pytest.mark.parametrize("place", ["worker", "server"])
def test_answers_are_sent_back_over_the_end_of_a_segment(runtime: AgentRuntime, model: Stage, place: str) -> None:
    """The count goes on in the next one, and the model sees what it said."""

    def reply(request: ModelRequest) -> Reply:
        return call("price", what="tea") if request.turn < 6 else DOES_NOT

    agent = worker("typed_segments", model, reply, tools=[price])
    if place == "server":
        agent = Agent("typed_segments_server", model=agent.model, output_type=Invoice, tools=[price])

    with pytest.raises(OutputInvalid) as raised:
        runtime.run(agent, "Read it.", timeout=60)

    assert raised.value.result is not None
    assert raised.value.result.steps == 9
    last = model.requests(agent.model)[-1]
    assert [turn.role for turn in last.messages[-4:]] == ["assistant", "user", "assistant", "user"]
    assert "lines.0.cents" in last.messages[-1].text
