"""Agents that take a run over from each other: one conversation, one run, whoever is at work."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from agentspan.agents import (
    Agent,
    AgentRuntime,
    CallbackHandler,
    ExecutionFailed,
    Guardrail,
    GuardrailError,
    HandoffContext,
    OnTextMention,
    OnToolResult,
    RegexGuardrail,
    RunContext,
    TerminationContext,
    ToolContext,
    guardrail,
    handoff,
    tool,
)
from agentspan.testing import call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

pytestmark = pytest.mark.usefixtures("scripted_openai")


def from_turn(first: int, *replies: Any) -> Any:
    """The replies of an agent that takes over a conversation of so many answers."""
    return lambda request: replies[request.turn - first]


class Desk:
    """Agents whose tools write down who called them."""

    def __init__(self, model: Stage) -> None:
        self.model = model
        self.found: dict[str, str] = {}

    def agent(self, name: str, replies: Any, **options: Any) -> Agent[Any]:
        @tool(name=f"look_{name}", approval=options.pop("approval", None))
        def look(order: str, context: ToolContext) -> str:
            """Look an order up."""
            self.found[context.idempotency_key] = f"{context.agent}: {order}"
            return f"{order} is late"

        given = {"instructions": f"You are {name}.", "description": f"Does {name}.", "tools": [look], **options}
        return Agent(name, model=self.model.play(replies if callable(replies) else from_turn(0, *replies)), **given)

    def triage(self, replies: Any, handoffs: Any, **options: Any) -> Agent[Any]:
        return self.agent("triage", replies, handoffs=handoffs, model_place="worker", **options)


@pytest.fixture
def desk(model: Stage) -> Desk:
    return Desk(model)


def shown(handle: Any) -> list[tuple[Any, ...]]:
    return [(event.type, event.agent, event.step, event.target) for event in handle.stream()]


def test_another_agent_takes_over(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    billing = desk.agent("billing", from_turn(2, call("look_billing", order="A-1"), say("It is late.")))
    triage = desk.triage([call("look_triage", order="A-0"), call("transfer_to_billing")], [billing])

    handle = runtime.start(triage, "Where is A-1?")
    result = handle.result(timeout=60)

    assert result.output == "It is late."
    assert sorted(desk.found.values()) == ["billing: A-1", "triage: A-0"]
    first = model.requests(billing.model)[0]
    assert first.system == "You are billing."
    assert first.prompt == "Where is A-1?"
    assert [each.text for turn in first.messages for each in turn.tool_results][-1].count("billing takes over") == 1
    assert {each.name for each in first.tools} == {"look_billing"}
    assert shown(handle) == [
        ("step", "triage", 1, None),
        ("tool_call", "triage", 1, None),
        ("tool_result", "triage", 1, None),
        ("step", "triage", 2, None),
        ("tool_call", "triage", 2, None),
        ("tool_result", "triage", 2, None),
        ("handoff", "triage", 2, "billing"),
        ("step", "billing", 3, None),
        ("tool_call", "billing", 3, None),
        ("tool_result", "billing", 3, None),
        ("step", "billing", 4, None),
        ("done", "billing", 4, None),
    ]
    assert [step.agent for step in handle.steps()] == ["triage", "triage", "billing", "billing"]
    played = (triage.model, billing.model)
    assert result.usage.prompt_tokens == sum(request.tokens for each in played for request in model.requests(each))


def test_a_run_goes_back_and_forth_over_segments(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    def reply(request: Any) -> Any:
        if request.turn == 20:
            return say("Enough.")
        return call("look_triage", order=str(request.turn)) if request.turn % 3 else call("transfer_to_billing")

    def other(request: Any) -> Any:
        if request.turn % 3 == 1:
            return calls(call("look_billing", order=str(request.turn)), call("transfer_to_triage"), call("nothing"))
        raise AssertionError(request.turn)

    billing = desk.agent("billing", other)
    triage = desk.triage(reply, [billing], allowed_transitions={"billing": ["triage"]})
    handle = runtime.start(triage, "Go.", serve=True)
    result = handle.result(timeout=90)

    assert result.output == "Enough."
    assert [step.agent for step in handle.steps()] == [
        "billing" if number % 3 == 1 else "triage" for number in range(21)
    ]
    assert sorted(desk.found.values()) == sorted(
        f"{'billing' if number % 3 == 1 else 'triage'}: {number}" for number in range(20) if number % 3
    )
    told = [each.text for turn in model.requests(triage.model)[-1].messages for each in turn.tool_results]
    assert sum(
        "There is no tool named nothing. The tools are: look_billing, transfer_to_triage." in each for each in told
    )


class Reason(BaseModel):
    """Why."""

    reason: str
    cents: int


def test_a_transfer_has_typed_arguments(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    refunds = desk.agent("refunds", from_turn(2, say("Done.")), tools=[])
    billing = desk.agent("billing", [])
    turns = [
        call("transfer_to_refunds", reason="late"),
        calls(call("transfer_to_refunds", reason="late", cents=5), call("transfer_to_billing")),
    ]
    triage = desk.triage(turns, [billing, handoff(refunds, input_type=Reason)], tools=[])
    handle = runtime.start(triage, "Give it back.")

    assert handle.result(timeout=60).output == "Done."
    first, second = ([call.error for call in step.calls] for step in handle.steps()[:2])
    assert "cents" in str(first[0])
    assert second == [None, "Not done: another agent takes over already."]
    assert model.requests(refunds.model)[0].messages[-2].tool_calls[0].arguments == {"reason": "late", "cents": 5}
    schema = {each.name: each.schema for each in model.requests(triage.model)[0].tools}["transfer_to_refunds"]
    assert set(schema["properties"]) == {"reason", "cents"}


def test_conditions_hand_over(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    asked: list[HandoffContext] = []

    async def is_late(turn: HandoffContext) -> bool:
        asked.append(turn)
        return "late" in turn.text and not turn.results

    last = desk.agent("last", from_turn(4, say("The end.")), tools=[])
    refunds = desk.agent("refunds", from_turn(2, call("look_refunds", order="B"), say("It is late, I fear.")))
    refunds = replace(refunds, handoffs=[handoff(last, when=is_late)])
    billing = desk.agent("billing", from_turn(1, say("You want a REFUND.")))
    billing = replace(billing, handoffs=[handoff(refunds, when=OnTextMention("refund"))])
    by_result = handoff(billing, when=OnToolResult("look_triage", "late"))
    triage = desk.triage([call("look_triage", order="A")], [by_result])
    handle = runtime.start(triage, "Go.")

    assert handle.result(timeout=60).output == "The end."
    assert [step.agent for step in handle.steps()] == ["triage", "billing", "refunds", "refunds", "last"]
    assert [each for each in shown(handle) if each[0] in ("step", "handoff", "done")] == [
        ("step", "triage", 1, None),
        ("step", "triage", 2, None),
        ("handoff", "triage", 2, "billing"),
        ("handoff", "billing", 2, "refunds"),
        ("step", "refunds", 3, None),
        ("step", "refunds", 4, None),
        ("handoff", "refunds", 4, "last"),
        ("step", "last", 5, None),
        ("done", "last", 5, None),
    ]
    assert [(turn.agent, turn.step, turn.results) for turn in asked] == [
        ("refunds", 3, (("look_refunds", "B is late"),)),
        ("refunds", 4, ()),
    ]
    assert not model.requests(triage.model)[-1].tools[1:]
    assert model.requests(refunds.model)[0].messages[-1].text == "[refunds takes over, and goes on here.]"


def test_all_turns_count_for_the_agent_that_began(runtime: AgentRuntime, desk: Desk) -> None:
    billing = desk.agent("billing", from_turn(1, *[call("look_billing", order="A")] * 9), max_turns=1)
    triage = desk.triage([call("transfer_to_billing")], [billing], max_turns=4)
    with pytest.raises(ExecutionFailed, match="triage used all of its 4 turns"):
        runtime.run(triage, "Go.")
    assert len(desk.found) == 2


class Greeting(BaseModel):
    text: str


def test_the_answer_is_of_the_type_of_who_answers(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    def checked(answer: dict[str, int]) -> None:
        if answer["total"] != 3:
            raise ValueError("the total is not 3")

    answers = [say('{"total": "x"}'), say('{"total": 2}'), say('{"total": 3}')]
    billing = desk.agent(
        "billing", from_turn(1, *answers), tools=[], output_type=dict[str, int], output_validators=[checked]
    )
    replies = {"Go.": call("transfer_to_billing"), "Say.": say('{"text": "Hello."}')}
    triage = desk.triage(lambda request: replies[request.prompt], [billing], tools=[])

    triage = replace(triage, output_type=Greeting)

    assert runtime.run(triage, "Say.").output == Greeting(text="Hello.")
    assert runtime.run(triage, "Go.").output == {"total": 3}
    assert len(model.requests(billing.model)) == 3


def test_one_of_them_answers_with_a_text(runtime: AgentRuntime, desk: Desk) -> None:
    billing = desk.agent("billing", from_turn(1, say("Hello.")), tools=[])
    triage = desk.triage(
        lambda request: say('{"text": "Hi."}') if request.prompt == "Say." else call("transfer_to_billing"),
        [billing],
        tools=[],
        output_type=Greeting,
    )
    assert runtime.run(triage, "Say.").output == Greeting(text="Hi.")
    handle = runtime.start(triage, "Go.")
    assert handle.result(timeout=60).output == "Hello."
    assert runtime.handle(handle.execution_id).result().output == "Hello."


def test_a_person_is_asked_and_the_status_says_who_works(runtime: AgentRuntime, desk: Desk) -> None:
    billing = desk.agent("billing", from_turn(1, call("look_billing", order="A-1"), say("Late.")), approval=True)
    triage = desk.triage([call("transfer_to_billing")], [billing])
    handle = runtime.start(triage, "Where is A-1?")

    wait_until(lambda: [each.tool for each in handle.requests()] == ["look_billing"], "the request")
    assert [each.agent for each in handle.requests()] == ["billing"]
    assert handle.get_status().current_task == "billing: look_billing"
    handle.approve(by="ann")
    assert handle.result(timeout=60).output == "Late."
    assert list(desk.found.values()) == ["billing: A-1"]


def test_a_call_that_does_not_fit_is_told_to_the_model(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    runtime.register(desk.agent("billing", [], instructions="Another version."))
    billing = desk.agent("billing", from_turn(1, call("look_billing", what="A-1"), say("Which one?")))
    triage = desk.triage([call("transfer_to_billing")], [billing])

    assert runtime.run(triage, "Where is it?", timeout=30).output == "Which one?"
    told = model.requests(billing.model)[-1].messages[-1].tool_results
    assert "order" in told[0].text


def test_a_run_that_failed_goes_on_with_who_was_at_work(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    broken = [True]
    billing = desk.agent("billing", lambda request: fail(401, "no such key") if broken[0] else say("Late."))
    triage = desk.triage([call("transfer_to_billing")], [billing])
    handle = runtime.start(triage, "Go.")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    before = shown(handle)

    broken[0] = False
    handle.retry()
    assert handle.result(timeout=60).output == "Late."
    assert shown(handle)[: len(before)] == before
    assert len(model.requests(triage.model)) == 1


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "openai"])
def test_whoever_the_provider_is(
    runtime: AgentRuntime, model: Stage, desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    for name in ("ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{name}_API_KEY", "none")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", model.server.anthropic_url)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", model.server.anthropic_url)
    prefix = {"anthropic": "claude-sonnet-4-6", "gemini": "gemini-3-pro-preview", "openai": "gpt-5"}[kind]

    def played(name: str, *replies: Any) -> str:
        return model.play(from_turn(len(replies) - 1, *replies[-1:]), kind, name=f"{prefix}-{name}")

    last = replace(desk.agent("last", [], tools=[]), model=played("last", None, None, say("The end.")))
    middle = replace(
        desk.agent("middle", [], tools=[], handoffs=[handoff(last, when=OnTextMention("over to"))]),
        model=played("middle", None, say("Over to the last one.")),
    )
    triage = replace(desk.triage([], [middle], tools=[]), model=played("triage", call("transfer_to_middle")))

    assert runtime.run(triage, "Go.", timeout=60).output == "The end."
    assert model.requests(last.model)[0].messages[-1].text == "[last takes over, and goes on here.]"


# ---- what each of them has of its own -------------------------------------------------------------------


class Case(BaseModel):
    customer: str = "nobody"
    looked: list[str] = Field(default_factory=list)


class Watching(CallbackHandler):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_agent_start(self, **given: Any) -> None:
        self.told.append(("agent", given["agent_name"], given["step"]))

    async def on_model_start(self, **given: Any) -> None:
        self.told.append(("model", given["agent_name"], given["step"]))

    def on_tool_end(self, **given: Any) -> None:
        self.told.append((given["tool_name"], given["agent_name"], given["step"], given["result"]))

    def on_agent_end(self, **given: Any) -> None:
        self.told.append(("answer", given["agent_name"], given["step"], given["result"]))


def noting(name: str) -> Any:
    @tool(name=f"note_{name}")
    def note(what: str, context: ToolContext) -> str:
        """Note what was looked at."""
        context.add_to_state(looked=[f"{name}: {what}"])
        return f"{len(context.state.looked)} noted"

    return note


def test_all_share_a_state_and_each_has_its_own_instructions_and_hooks(
    runtime: AgentRuntime, model: Stage, desk: Desk
) -> None:
    asked: list[str] = []

    def once(context: RunContext) -> str:
        asked.append(f"{context.agent} {context.step} {context.state.looked} {context.dependencies}")
        return f"You help {context.state.customer}."

    async def each(context: RunContext) -> str:
        return f"{context.agent} sees {len(context.state.looked)}."

    def is_enough(turn: HandoffContext) -> bool:
        return len(turn.state.looked) == 3

    hooks = {name: Watching() for name in ("triage", "billing")}
    plain = desk.agent("plain", from_turn(4, say("The end.")), tools=[], instructions="Plainly.")
    billing = desk.agent(
        "billing",
        lambda request: {
            1: calls(call("note_billing", what="b"), call("transfer_to_triage")),
            3: call("note_billing", what="d"),
        }[request.turn],
        tools=[noting("billing")],
        state_type=Case,
        instructions=each,
        instructions_each="turn",
        hooks=[hooks["billing"]],
        handoffs=[handoff(plain, when=is_enough)],
    )
    triage = desk.triage(
        lambda request: (
            call("transfer_to_billing")
            if request.turn == 0
            else calls(call("note_triage", what="c"), call("transfer_to_billing"))
        ),
        [billing],
        tools=[noting("triage")],
        state_type=Case,
        instructions=once,
        hooks=[hooks["triage"]],
        dependencies={"of": "triage"},
        allowed_transitions={"billing": ["triage", "plain"]},
    )
    handle = runtime.start(triage, "Go.", context={"customer": "Ada"})

    assert handle.result(timeout=60).output == "The end."
    assert [step.agent for step in handle.steps()] == ["triage", "billing", "triage", "billing", "plain"]
    assert handle.state() == Case(customer="Ada", looked=["billing: b", "triage: c", "billing: d"])
    assert [(change.step, change.tool, change.value) for change in handle.state_changes()] == [
        (2, "note_billing", ["billing: b"]),
        (3, "note_triage", ["triage: c"]),
        (4, "note_billing", ["billing: d"]),
    ]
    assert {request.system for request in model.requests(triage.model)} == {"You help Ada."}
    assert asked == ["triage 1 [] {'of': 'triage'}"]
    systems = [request.system for request in model.requests(billing.model)]
    assert systems == ["billing sees 0.", "billing sees 2."]
    assert model.requests(plain.model)[0].system == "Plainly."
    assert hooks["triage"].told == [
        ("agent", "triage", 1),
        ("model", "triage", 1),
        ("agent", "triage", 3),
        ("model", "triage", 3),
        ("note_triage", "triage", 3, "2 noted"),
    ]
    assert hooks["billing"].told == [
        ("agent", "billing", 2),
        ("model", "billing", 2),
        ("note_billing", "billing", 2, "1 noted"),
        ("agent", "billing", 4),
        ("model", "billing", 4),
        ("note_billing", "billing", 4, "3 noted"),
    ]


def guards(handle: Any) -> list[tuple[Any, ...]]:
    return [
        (event.type, event.agent, event.step, event.guardrail_name)
        for event in handle.stream()
        if event.type.startswith("guardrail")
    ]


@pytest.mark.parametrize(
    ("prompt", "said"), [("Card 1234: 5 euros", "Paid, with [removed]."), ("Sue them!", "the guardrail no_law refuses")]
)
def test_guardrails_of_each(runtime: AgentRuntime, model: Stage, desk: Desk, prompt: str, said: str) -> None:
    looked: list[str] = []

    def short(answer: str) -> bool:
        looked.append(answer)
        return len(answer) < 40

    @guardrail(position="input")
    async def no_law(prompt: str) -> bool:
        return "Sue" not in prompt

    billing = desk.agent(
        "billing",
        from_turn(1, say("Paid, " + "really " * 20), say("Paid, with [removed]."), call("transfer_to_triage")),
        tools=[],
        guardrails=[RegexGuardrail(r"\d{4}", position="input", on_fail="fix", name="cards"), no_law, short],
    )
    triage = desk.triage(
        lambda request: call("transfer_to_billing"),
        [billing],
        tools=[],
        guardrails=[Guardrail(lambda _: True, position="input", name="first")],
    )
    handle = runtime.start(triage, prompt)
    entry = [
        ("guardrail_pass", "triage", 1, "first"),
        ("guardrail_fail" if "1234" in prompt else "guardrail_pass", "billing", 2, "cards"),
        ("guardrail_fail" if "Sue" in prompt else "guardrail_pass", "billing", 2, "no_law"),
    ]
    if "Sue" in prompt:
        with pytest.raises(GuardrailError, match=f"(?i){said}") as raised:
            handle.result(timeout=60)
        assert (raised.value.guardrail, raised.value.position) == ("no_law", "input")
        assert guards(handle) == entry
        assert [step.agent for step in handle.steps()] == ["triage", "billing"]
        assert handle.get_status().usage.prompt_tokens == model.requests(triage.model)[0].tokens
        assert not model.requests(billing.model)
        return
    assert handle.result(timeout=60).output == said
    assert [request.prompt for request in model.requests(billing.model)] == ["Card [removed]: 5 euros"] * 2
    assert {request.prompt for request in model.requests(triage.model)} == {prompt}
    assert len(looked) == 2
    assert guards(handle) == [
        *entry,
        ("guardrail_fail", "billing", 2, "short"),
        ("guardrail_pass", "billing", 3, "short"),
    ]


def test_an_end_by_the_state_and_a_stop(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    gate = threading.Event()

    @tool
    def wait(context: ToolContext) -> str:
        """Wait, and look."""
        gate.wait(30)
        context.add_to_state(looked=["it"])
        return "seen"

    def is_found(context: TerminationContext) -> bool:
        return len(context.state.looked) == 2

    def answer(request: Any) -> Any:
        return say("I saw some.") if "Answer now" in request.messages[-1].text else call("wait")

    billing = desk.agent("billing", answer, tools=[wait], state_type=Case)
    triage = desk.triage([call("transfer_to_billing")], [billing], tools=[], state_type=Case, termination=is_found)
    handle = runtime.start(triage, "Go.")
    wait_until(lambda: handle.get_status().current_task == "billing: wait", "the call of who took over")
    handle.stop()
    gate.set()
    result = handle.result(timeout=60)
    assert (result.output, result.finish_reason) == ("I saw some.", "stopped")
    assert handle.state().looked == ["it"]
    assert shown(handle)[-1] == ("done", "billing", 4, None)

    ended = runtime.start(triage, "Go.")
    assert (ended.result(timeout=60).output, ended.result().finish_reason) == ("I saw some.", "stopped")
    assert ended.state().looked == ["it", "it"]
