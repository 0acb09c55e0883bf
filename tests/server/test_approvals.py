"""Calls that a person decides: approved, edited, rejected, in any order, from anywhere; and what nobody decides."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Approval,
    Conflict,
    DefinitionError,
    InputError,
    NotFound,
    Request,
    Retry,
    ToolContext,
    human_tool,
    tool,
)
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

PLACES = ("server", "worker")


pytestmark = pytest.mark.usefixtures("scripted_openai")


class Till:
    """What was refunded, by the keys of the calls."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}

    def agent(self, played: str, place: Any = "worker", approval: Any = True, **options: Any) -> Agent[str]:
        @tool(approval=approval, retry=Retry(2, delay=0))
        def refund(amount: int, context: ToolContext) -> str:
            """Pay money back."""
            if amount == 13:
                raise ValueError("the till is empty")
            self.paid[context.idempotency_key] = amount
            return f"refunded {amount}"

        @tool
        def look(order: str) -> str:
            """Look an order up."""
            return f"{order}: paid 12"

        return Agent("till", model=played, tools=[refund, look], model_place=place, **options)


def asked(runtime: AgentRuntime, execution_id: str, count: int = 1) -> list[Request]:
    wait_until(lambda: len(runtime.requests(run=execution_id)) == count, f"{count} requests", timeout=30)
    return runtime.requests(run=execution_id)


def told(model: Stage, played: str) -> list[Any]:
    """What the model was told of its last calls."""
    results = [turn.tool_results for turn in model.requests(played)[-1].messages if turn.tool_results][-1]
    found = [result.output for result in results]
    return [each["result"] if isinstance(each, dict) and "result" in each else each for each in found]


@pytest.mark.parametrize("place", PLACES)
def test_each_call_of_a_turn_is_decided_by_itself_in_any_order(runtime: AgentRuntime, model: Stage, place: str) -> None:
    turn = calls(call("refund", amount=1), call("look", order="A"), call("refund", amount=2), call("refund", amount=3))
    played = model.play([turn, say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played, place), "Refund all.")

    first, second, third = asked(runtime, handle.execution_id, 3)
    assert [each.args for each in (first, second, third)] == [{"amount": 1}, {"amount": 2}, {"amount": 3}]
    runtime.reject(third.id, "That one was never paid.", by="ann")
    runtime.approve(second.id, args={"amount": 20}, by="bob")
    assert [each.id for each in runtime.requests(run=handle.execution_id)] == [first.id]
    runtime.approve(first.id)

    assert handle.result(timeout=60).output == "Done."
    assert sorted(till.paid.values()) == [1, 20]
    assert len(till.paid) == 2
    *done, rejected = told(model, played)
    assert done == ["refunded 1", "A: paid 12", "refunded 20"]
    assert "Rejected by ann: That one was never paid." in str(rejected)
    events = list(handle.stream())
    assert [event.type for event in events] == [
        *("step", *["tool_call"] * 4, *["waiting"] * 3),
        *("decision", "tool_result", "tool_result", "decision", "tool_result", "decision", "tool_result"),
        *("step", "done"),
    ]
    decisions = [event for event in events if event.type == "decision"]
    assert [(event.request_id, event.approved, event.by) for event in decisions] == [
        (first.id, True, None),
        (second.id, True, "bob"),
        (third.id, False, "ann"),
    ]
    seen = runtime.request(second.id)
    assert seen is not None
    assert seen.decision is not None
    assert seen.decision.edited
    one, _, two, three = handle.steps()[0].calls
    assert [len(each.attempts) for each in (one, two, three)] == [1, 1, 0]
    assert [each.request.id for each in (one, two, three) if each.request] == [first.id, second.id, third.id]


@pytest.mark.parametrize("place", PLACES)
def test_what_waits_says_so_everywhere(runtime: AgentRuntime, model: Stage, place: str) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    handle = runtime.start(Till().agent(played, place), "Refund.")
    (request,) = asked(runtime, handle.execution_id)

    status = handle.get_status()
    assert status.is_waiting
    assert not status.is_running
    assert [reason.kind for reason in status.waits] == ["person"]
    assert status.requests[0].id == request.id
    pending = dict(status.pending_tool or {})
    assert list(pending.pop("response_schema")["properties"]) == ["approved", "reason"]
    assert pending == {"tool_name": "refund", "parameters": {"amount": 5}, "request_id": request.id}
    assert f"agentspan request approve {request.id}" in status.waits[0].next
    assert request.id in [each.id for each in runtime.requests(agent="till")]
    assert request.id in [each.id for each in runtime.requests()]
    assert runtime.requests(agent="nobody") == []
    stream = handle.stream(timeout=20)
    event = next(event for event in stream if event.type == "waiting")
    assert (event.request_id, event.args) == (request.id, {"amount": 5})
    handle.approve(event)
    assert handle.result(timeout=60).output == "Done."
    assert runtime.requests(run=handle.execution_id) == []


def test_a_decision_counts_once(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played), "Refund.")
    (request,) = asked(runtime, handle.execution_id)
    outcomes: list[str] = []
    refused: list[str] = []

    def decide(number: int) -> None:
        try:
            if number % 2:
                runtime.approve(request.id, args={"amount": number}, by=f"{number}")
            else:
                runtime.reject(request.id, "no", by=f"{number}")
            outcomes.append(f"{number}")
        except Conflict as error:
            refused.append(str(error))

    people = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert handle.result(timeout=60).output == "Done."
    (winner,) = outcomes
    assert len(refused) == 7
    assert all("already" in each for each in refused)
    seen = runtime.request(request.id)
    assert seen is not None
    assert seen.decision is not None
    assert seen.decision.by == winner
    assert list(till.paid.values()) == ([int(winner)] if int(winner) % 2 else [])
    with pytest.raises(Conflict, match=f"already, by {winner}"):
        runtime.approve(request.id)


def test_only_what_fits_reaches_a_person_or_the_tool(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount="much"), call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played), "Refund.")

    (request,) = asked(runtime, handle.execution_id)
    assert request.args == {"amount": 5}
    assert request.step == 2
    assert "amount" in str(told(model, played))
    with pytest.raises(InputError, match="amount"):
        runtime.approve(request.id, args={"amount": "much"})
    with pytest.raises(InputError, match="approved or rejected"):
        runtime.answer(request.id, "yes")
    with pytest.raises(InputError, match="approved"):
        handle.respond("yes")
    with pytest.raises(NotFound):
        runtime.approve("nothing")
    with pytest.raises(NotFound, match="not a request"):
        runtime.approve(handle.execution_id)
    handle.respond({"approved": True, "args": {"amount": 6}})
    assert handle.result(timeout=60).output == "Done."
    assert list(till.paid.values()) == [6]


def test_a_function_decides_whom_to_ask(runtime: AgentRuntime, model: Stage) -> None:
    def large(amount: int) -> bool:
        if amount == 7:
            raise RuntimeError("cannot tell")
        return amount > 100

    turn = calls(call("refund", amount=1), call("refund", amount=700), call("refund", amount=7))
    played = model.play([turn, say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played, approval=large), "Refund.")

    large_one, odd_one = asked(runtime, handle.execution_id, 2)
    assert (large_one.args, odd_one.args) == ({"amount": 700}, {"amount": 7})
    runtime.approve(large_one.id)
    runtime.reject(odd_one.id)
    assert handle.result(timeout=60).output == "Done."
    assert sorted(till.paid.values()) == [1, 700]


@pytest.mark.parametrize("default", ["approve", "reject"])
def test_a_deadline_decides_when_nobody_does(
    runtime: AgentRuntime, model: Stage, default: Literal["approve", "reject"]
) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played, approval=Approval(deadline=1, default=default)), "Refund.")

    assert handle.result(timeout=30).output == "Done."
    (event,) = [event for event in handle.stream() if event.type == "decision"]
    assert (event.approved, event.by, event.text) == (default == "approve", None, "Nobody decided in time.")
    assert list(till.paid.values()) == ([5] if default == "approve" else [])
    seen = runtime.request(str(event.request_id))
    assert seen is not None
    assert seen.asked is not None
    assert seen.decision is not None
    assert seen.decision.overdue
    with pytest.raises(Conflict, match="by its deadline"):
        runtime.approve(seen.id)


def test_a_person_is_quicker_than_the_deadline(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played, approval=Approval(deadline=600)), "Refund.")
    (request,) = asked(runtime, handle.execution_id)

    assert request.due is not None
    assert 500 < (request.due - datetime.now(UTC)).total_seconds() < 700
    handle.approve()
    assert handle.result(timeout=30).output == "Done."
    assert list(till.paid.values()) == [5]


@pytest.mark.parametrize("place", PLACES)
def test_a_question_is_answered_with_what_fits(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    ask = human_tool("ask_customer", "Ask the customer.", answer=Literal["red", "blue"])
    agent = Agent("shop", model=model.play([call("ask_customer", question="Colour?"), say("Blue it is.")]), tools=[ask])
    agent = Agent("shop", model=agent.model, tools=[ask], model_place=place)
    handle = runtime.start(agent, "Order one.")
    (request,) = asked(runtime, handle.execution_id)

    assert (request.kind, request.args) == ("question", {"question": "Colour?"})
    with pytest.raises(InputError, match="Not taken"):
        runtime.answer(request.id, "green")
    with pytest.raises(InputError, match="answered or rejected"):
        runtime.approve(request.id)
    assert list(request.response_schema["properties"]) == ["response"]
    handle.respond({"selected": "blue"} if place == "worker" else "blue", by="ann")
    assert handle.result(timeout=60).output == "Blue it is."
    assert told(model, agent.model) == ["blue"]


@pytest.mark.parametrize("place", PLACES)
def test_a_question_that_does_not_fit_reaches_nobody(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    about = {"type": "object", "properties": {"amount": {"type": "integer", "minimum": 1}}, "required": ["amount"]}
    schema = {"type": "object", "properties": {"case": about, "note": {"type": "string"}}, "required": ["case"]}
    ask = human_tool("ask_till", "Ask the till ${x}.", input_schema=schema)
    script = [
        calls(call("ask_till", case={"amount": "5"}), call("ask_till", case={"amount": 0}), call("ask_till", case=[5])),
        call("ask_till", case={"amount": 5}, note=7),
        call("ask_till", case={"amount": 5, "more": "${y}"}, note="now"),
        say("Done."),
    ]
    agent = Agent("till_asker", model=model.play(script), tools=[ask], model_place=place)
    handle = runtime.start(agent, "Ask.")
    (request,) = asked(runtime, handle.execution_id)

    assert request.args == {"case": {"amount": 5, "more": "${y}"}, "note": "now"}
    runtime.answer(request.id, "Take it.")
    assert handle.result(timeout=60).output == "Done."
    assert [event.request_id for event in handle.stream() if event.type == "waiting"] == [request.id]
    results = [each.output for turn in model.requests(agent.model)[-1].messages for each in turn.tool_results]
    first, second, third, fourth, answered = map(str, results)
    for refused in (first, second, third):
        assert "Not asked: case: does not fit {" in refused
    assert 'Not asked: note: does not fit {"type":"string"}' in fourth
    assert "Take it." in answered


def test_what_nobody_could_check_is_refused() -> None:
    field = {"type": "string", "pattern": "(a+)+$"}
    within = {"type": "array", "items": {"anyOf": [{"type": "object", "properties": {"a": field}}, {"type": "null"}]}}
    for each in (field, within, {"type": "object", "propertyNames": {"maxLength": 3}}):
        with pytest.raises(DefinitionError, match="which nobody checks before a person is asked"):
            human_tool("ask", "Ask.", input_schema={"type": "object", "properties": {"it": each}})
    named = {"type": "object", "properties": {"pattern": {"type": "string"}}}
    assert human_tool("ask", "Ask.", input_schema=named).question is not None


def test_a_question_that_nobody_answers(runtime: AgentRuntime, model: Stage) -> None:
    tools = [
        human_tool("ask_ann", "Ask Ann.", deadline=1, default="whatever"),
        human_tool("ask_bob", "Ask Bob.", deadline=1),
        human_tool("ask_eve", "Ask Eve."),
    ]
    turn = calls(*(call(name, question="?") for name in ("ask_ann", "ask_bob", "ask_eve")), call("ask_eve"))
    played = model.play([turn, say("Done.")])
    handle = runtime.start(Agent("asker", model=played, tools=tools, model_place="worker"), "Ask.")
    wait_until(lambda: [each.tool for each in handle.requests()] == ["ask_eve"], "Eve alone")
    (of_eve,) = [each for each in handle.requests() if each.tool == "ask_eve"]  # the others may be asked just now
    handle.reject("none of your business", request=of_eve, by="eve")

    assert handle.result(timeout=60).output == "Done."
    ann, bob, eve, nothing = (str(each) for each in told(model, played))
    assert ann == "whatever"
    assert "Nobody decided within 1 s" in bob
    assert "Not answered by eve: none of your business" in eve
    assert "question: missing" in nothing


def test_somebody_is_told_of_each_request_once(runtime: AgentRuntime, model: Stage) -> None:
    heard: list[Request] = []
    tries: list[str] = []

    async def tell(request: Request) -> None:
        tries.append(request.id)
        if len(tries) == 1:
            raise ConnectionError("no network")
        heard.append(request)

    played = model.play([calls(call("refund", amount=1), call("refund", amount=2)), say("Done.")])
    agent = Till().agent(played, on_request=tell, model_retry=Retry(3, delay=0))
    handle = runtime.start(agent, "Refund.")
    waiting = asked(runtime, handle.execution_id, 2)
    wait_until(lambda: len(heard) == 2, "both notices")

    assert sorted(each.id for each in heard) == sorted(each.id for each in waiting)
    for each in heard:
        runtime.approve(each.id)
    assert handle.result(timeout=60).output == "Done."
    assert len(tries) == 3


def test_a_decision_does_not_wait_for_a_notice(runtime: AgentRuntime, model: Stage) -> None:
    begun, end = threading.Event(), threading.Event()

    def tell(request: Request) -> None:
        begun.set()
        end.wait(30)

    played = model.play([call("refund", amount=1), say("Done.")])
    handle = runtime.start(Till().agent(played, on_request=tell), "Refund.")
    asked(runtime, handle.execution_id)
    assert begun.wait(30)
    handle.approve()
    try:
        assert handle.result(timeout=20).output == "Done."
    finally:
        end.set()


def test_a_tool_that_fails_after_the_approval(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount=13), say("Done.")])
    handle = runtime.start(Till().agent(played), "Refund.")
    asked(runtime, handle.execution_id)
    handle.approve()

    assert handle.result(timeout=60).output == "Done."
    assert "the till is empty" in str(told(model, played))
    assert [event.type for event in handle.stream()] == [
        *("step", "tool_call", "waiting", "decision", "tool_retry", "tool_result"),
        *("step", "done"),
    ]
    assert len(handle.steps()[0].calls[0].attempts) == 2


def test_a_run_that_is_cancelled_and_retried_asks_once_more(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played), "Refund.")
    (request,) = asked(runtime, handle.execution_id)
    handle.cancel("not today")
    with pytest.raises(Conflict, match="void"):
        runtime.approve(request.id)
    before = [(event.seq, event.type) for event in handle.stream()]

    handle.retry()
    (again,) = asked(runtime, handle.execution_id)
    handle.approve(again)
    assert handle.result(timeout=60).output == "Done."
    assert list(till.paid.values()) == [5]
    events = [(event.seq, event.type) for event in handle.stream()]
    assert events[: len(before)] == before


def test_a_paused_run_takes_a_decision_and_goes_on_later(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play([call("refund", amount=5), say("Done.")])
    till = Till()
    handle = runtime.start(till.agent(played), "Refund.")
    (request,) = asked(runtime, handle.execution_id)
    handle.pause()
    assert [each.id for each in runtime.requests(agent="till") if each.id == request.id] == [request.id]
    handle.approve()
    assert handle.get_status().status == "PAUSED"
    assert till.paid == {}
    with pytest.raises(Conflict, match="is approved already"):
        runtime.reject(request.id)
    handle.resume()
    assert handle.result(timeout=60).output == "Done."
    assert list(till.paid.values()) == [5]
