"""The effect ledger, and what a person does with single calls, on a real server."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    Conflict,
    InputError,
    NotFound,
    Retry,
    RetryTool,
    ToolContext,
    ToolFailed,
    agent_tool,
    tool,
)
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage


def ledger(handle: AgentHandle) -> list[tuple[str, str, int, int]]:
    return [(each.tool, each.state, each.tries, len(each.cut_off)) for each in handle.effects()]


def told(model: Stage, name: str) -> list[Any]:
    """What the model was told of its calls; a worker tells it without a wrapping."""
    found = [result.output for result in model.requests(name)[-1].tool_results]
    return [each["result"] if isinstance(each, dict) and "result" in each else each for each in found]


class Desk:
    """Tools that wait until they are let go, or told to stop."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.let_go = threading.Event()
        self.told_to_stop = threading.Event()

    def book(self, context: ToolContext) -> str:
        """Book."""
        self.keys.append(context.idempotency_key)
        while not self.let_go.wait(0.05):
            if context.cancelled:
                self.told_to_stop.set()
                break
        return f"booked by try {len(self.keys)}"

    def at_work(self, tries: int = 1) -> None:
        wait_until(lambda: len(self.keys) == tries, f"try {tries}")


@pytest.fixture
def keys(model: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """For models that a worker calls."""
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture
def desk() -> Any:
    made = Desk()
    yield made
    made.let_go.set()


def test_the_ledger_has_what_was_begun(runtime: AgentRuntime, model: Stage) -> None:
    tries: list[str] = []

    @tool(retry=Retry(3, delay=0))
    def flaky(context: ToolContext) -> str:
        """Fail once."""
        tries.append(context.idempotency_key)
        if len(tries) < 2:
            raise OSError("no luck")
        return "luck"

    @tool
    def refuse() -> str:
        """Refuse."""
        raise ToolFailed("never")

    @tool
    def strict(number: int) -> int:
        """Count."""
        return number

    replies = [
        calls(call("flaky"), call("refuse"), call("strict", number="x"), call("unknown")),
        call("strict", number=1),
    ]
    name = model.play([*replies, say("done")])
    handle = runtime.start(Agent("ledger", model=name, tools=[flaky, refuse, strict]), "Go.")
    handle.result(timeout=90)

    assert ledger(handle) == [("flaky", "done", 2, 0), ("refuse", "failed", 1, 0), ("strict", "done", 1, 0)]
    first, second, third = handle.effects()
    assert [first.key] * 2 == tries
    assert (first.step, third.step) == (1, 2)
    assert (first.repeated, first.is_doubtful, second.repeated, second.error) == (True, True, False, "never")
    assert [attempt.status for attempt in first.attempts] == ["failed", "done"]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("place", ["server", "worker"])
def test_a_person_answers_in_place_of_a_tool(runtime: AgentRuntime, model: Stage, desk: Desk, place: Any) -> None:
    """Also where the worker that is at the call makes the next call of the model, and knows results by heart."""
    name = model.play([call("book"), say("done")])
    handle = runtime.start(Agent("answered", model=name, tools=[desk.book], model_place=place), "Go.")
    desk.at_work()

    handle.answer_call("book", {"seat": "12a"}, by="ann")

    assert handle.result(timeout=60).output == "done"
    assert told(model, name) == [{"seat": "12a"}]
    wait_until(desk.told_to_stop.is_set, "the tool to hear that nobody waits")
    (effect,) = handle.effects()
    assert (effect.state, effect.tries, effect.interventions[0].verb) == ("done", 1, "answered")
    assert effect.cut_off[0].why == "ann answered in its place."
    assert effect.cut_off[0].worker is not None
    assert handle.steps()[0].calls[0].attempts[-1].worker == "person ann"
    with pytest.raises(Conflict, match="COMPLETED: none of its calls is open"):
        handle.answer_call("book", 1)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("place", ["server", "worker"])
def test_calls_of_one_turn_are_settled_one_by_one(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    """Nobody serves them: so it is without the agent's code, too."""

    @tool(external=True)
    def remote(number: int) -> int:
        """Served elsewhere."""
        return number

    name = model.play([calls(*[call("remote", number=n) for n in range(3)]), say("done")])
    agent = Agent("settled", model=name, tools=[remote], model_place=place)
    if place == "worker":
        runtime.serve(agent, blocking=False)
    handle = runtime.start(agent, "Go.", serve=place == "worker")
    wait_until(lambda: handle.get_status().current_task == "remote", "the calls")
    ids = [each.call_id for each in handle.steps()[0].calls]

    with pytest.raises(InputError, match="Several open calls") as caught:
        handle.answer_call("remote", 0)
    assert ids[0] in str(caught.value.hint)
    with pytest.raises(NotFound, match="has no open call 'other'"):
        handle.answer_call("other", 0)
    with pytest.raises(InputError, match="which has no JSON form"):
        handle.answer_call(ids[0], object())
    handle.answer_call(ids[1], "second")
    with pytest.raises(Conflict, match="is over"):
        handle.answer_call(ids[1], "again")
    handle.skip_call(ids[0], "not today", by="bob")
    handle.answer_call("remote", {"n": 3})

    assert handle.result(timeout=60).output == "done"
    assert told(model, name) == [{"error": "The call was skipped: not today"}, "second", {"n": 3}]
    assert handle.effects() == [], "nobody has begun them"


def test_a_call_that_hangs_runs_anew_in_the_same_worker(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    name = model.play([call("book"), say("done")])
    handle = runtime.start(Agent("hanging", model=name, tools=[desk.book]), "Go.")
    desk.at_work()

    handle.retry_call("book", by="ann")
    desk.at_work(tries=2)
    desk.let_go.set()

    assert handle.result(timeout=60).output == "done"
    assert told(model, name) == ["booked by try 2"]
    assert len(set(desk.keys)) == 1
    assert ledger(handle) == [("book", "done", 2, 1)]
    retried = [event.error for event in handle.stream() if event.type == "tool_retry"]
    assert retried == ["ann had it tried again."]


def test_a_call_whose_next_try_is_far_off_is_tried_now(runtime: AgentRuntime, model: Stage) -> None:
    attempts: list[int] = []

    @tool(retry=Retry(3))
    def busy(context: ToolContext) -> str:
        """Be busy once."""
        attempts.append(context.attempt)
        if len(attempts) == 1:
            raise RetryTool("busy", after=3600)
        return "free"

    handle = runtime.start(Agent("far_off", model=model.play([call("busy"), say("done")]), tools=[busy]), "Go.")
    wait_until(lambda: ledger(handle) == [("busy", "waiting", 1, 0)], "the first try")
    begun = time.monotonic()

    handle.retry_call("busy")

    assert handle.result(timeout=60).output == "done"
    assert time.monotonic() - begun < 60
    assert len(attempts) == 2
    assert ledger(handle) == [("busy", "done", 2, 0)]


def test_a_call_that_its_worker_handed_back_was_begun_twice(
    conductor_url: str, runtime: AgentRuntime, model: Stage, desk: Desk
) -> None:
    agent = Agent("handed_back", model=model.play([call("book"), say("done")]), tools=[desk.book])
    with AgentRuntime(conductor_url) as first:
        first.serve(agent, blocking=False)
        handle = runtime.start(agent, "Go.", serve=False)
        desk.at_work()
        first.shutdown(timeout=0)
    runtime.serve(agent, blocking=False)
    desk.at_work(tries=2)
    desk.let_go.set()

    handle.result(timeout=60)
    assert ledger(handle) == [("book", "done", 2, 1)]
    assert handle.effects()[0].cut_off[0].why == "Its worker stopped."


def test_a_call_that_a_person_allowed_is_settled_where_it_is_made(
    runtime: AgentRuntime, model: Stage, desk: Desk
) -> None:
    allowed = tool(desk.book, approval=True)
    name = model.play([call("book"), say("done")])
    handle = runtime.start(Agent("allowed", model=name, tools=[allowed]), "Go.")
    wait_until(handle.requests, "the question")
    with pytest.raises(Conflict, match="waits for a person"):
        handle.skip_call("book", "no")
    assert handle.effects() == []
    handle.approve(by="ann")
    desk.at_work()

    handle.retry_call("book", by="ann")
    desk.at_work(tries=2)
    handle.answer_call("book", "by hand", by="bob")

    assert handle.result(timeout=60).output == "done"
    assert told(model, name) == ["by hand"]
    (effect,) = handle.effects()
    assert (effect.key, effect.state, effect.tries, len(effect.cut_off)) == (desk.keys[0], "done", 2, 2)
    assert len(set(desk.keys)) == 1


def test_the_ledger_has_what_called_agents_have_begun(runtime: AgentRuntime, model: Stage, desk: Desk) -> None:
    inner = Agent(
        "inner_desk", description="Books.", model=model.play([call("book"), say("booked")]), tools=[desk.book]
    )
    name = model.play([call("inner_desk", request="Book."), say("done")])
    handle = runtime.start(Agent("outer_desk", model=name, tools=[agent_tool(inner)]), "Go.")
    desk.at_work()
    with pytest.raises(Conflict, match="is an agent at work, run"):
        handle.answer_call("inner_desk", 1)
    handle.retry_call("book")
    desk.at_work(tries=2)
    desk.let_go.set()
    handle.result(timeout=60)

    (effect,) = handle.effects()
    assert (effect.path, effect.tool, effect.key) == (("inner_desk",), "book", desk.keys[0])
    assert effect.to_json()["path"] == ["inner_desk"]


def test_calls_of_a_teams_members_are_settled_by_the_run_of_the_team(
    runtime: AgentRuntime, model: Stage, desk: Desk
) -> None:
    played = model.play([call("book"), say("booked")])
    team = Agent("booker", model=played, tools=[desk.book]) >> Agent("teller", model=model.play([say("told")]))
    handle = runtime.start(team, "Go.")
    desk.at_work()

    handle.answer_call("book", "by hand", by="ann")

    assert handle.result(timeout=60).output == "told"
    assert told(model, played) == ["by hand"]
    (effect,) = handle.effects()
    assert (effect.path, effect.tool, effect.key) == (("booker",), "book", desk.keys[0])


def test_of_several_persons_at_once_one_decides(runtime: AgentRuntime, model: Stage) -> None:
    @tool(external=True)
    def remote() -> int:
        """Served elsewhere."""
        return 0

    replies = [call("remote")] * 6
    name = model.play([*replies, say("done")])
    handle = runtime.start(Agent("contested", model=name, tools=[remote]), "Go.")
    for step in range(1, len(replies) + 1):
        wait_until(
            lambda step=step: (handle.get_status().step, handle.get_status().current_task) == (step, "remote"), "it"
        )
        won: list[int] = []
        meeting = threading.Barrier(6)

        def decide(number: int, won: list[int] = won, meeting: threading.Barrier = meeting) -> None:
            own = runtime.handle(handle.execution_id)
            call_id = own.steps(1)[0].calls[0].call_id  # a name that no call of the next step has
            meeting.wait(30)
            try:
                own.answer_call(call_id, number, by=str(number))
                won.append(number)
            except (Conflict, NotFound):
                pass

        persons = [threading.Thread(target=decide, args=(number,)) for number in range(6)]
        for person in persons:
            person.start()
        for person in persons:
            person.join()
        wait_until(
            lambda step=step: handle.get_status().step > step or handle.get_status().is_complete, "the next step"
        )
        assert len(won) == 1
        assert handle.steps()[step - 1].calls[0].result == won[0]


def test_a_call_of_a_paused_run_is_settled_and_the_run_stays_paused(
    runtime: AgentRuntime, model: Stage, desk: Desk
) -> None:
    name = model.play([call("book"), say("done")])
    handle = runtime.start(Agent("paused_desk", model=name, tools=[desk.book]), "Go.")
    desk.at_work()
    handle.pause()

    handle.answer_call("book", "by hand")
    assert handle.get_status().status == "PAUSED"
    handle.resume()

    assert handle.result(timeout=60).output == "done"
    assert told(model, name) == ["by hand"]
