"""Teams: members after each other, beside each other, chosen, and in turns; as one agent."""

from __future__ import annotations

import dataclasses
import re
import threading
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Budget,
    DefinitionError,
    ExecutionFailed,
    OnTextMention,
    Team,
    agent_tool,
    handoff,
    scatter_gather,
    tool,
)
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say, wait_until
from agentspan.testing.plugin import Stage

PLACES = ("server", "worker")


pytestmark = pytest.mark.usefixtures("scripted_openai")


class Desk:
    """Members that say their name, and what they were told."""

    def __init__(self, model: Stage, place: Any = "worker") -> None:
        self.model = model
        self.place = place
        self.played: dict[str, str] = {}
        self.looked: list[str] = []

    def member(self, name: str, reply: Any = None, *, looks: bool = False) -> Agent[str]:
        @tool
        def look(topic: str) -> str:
            """Look something up."""
            self.looked.append(topic)
            return topic

        def answers(request: Any) -> Any:
            if looks and not request.turn:
                return call("look", topic=name)
            return say(f"{name} says {len(request.prompt)}")

        self.played[name] = self.model.play(reply or answers)
        about = f"Knows all about {name}."
        tools = [look] if looks else []
        return Agent(name, model=self.played[name], tools=tools, description=about, model_place=self.place)

    def told(self, name: str) -> list[str]:
        return [request.prompt for request in self.model.requests(self.played[name])]

    @property
    def spent(self) -> int:
        return sum(request.tokens for played in self.played.values() for request in self.model.requests(played))


@pytest.mark.parametrize("place", PLACES)
def test_one_after_the_other(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    desk = Desk(model, place)
    team = desk.member("reader", looks=True) >> desk.member("writer") >> desk.member("editor")
    assert team.name == "reader_then_writer_then_editor"
    handle = runtime.start(team, "Go.")
    result = handle.result(timeout=60)

    assert desk.told("writer") == ["Go.\n\nPrevious agent output:\nreader says 3"]
    assert desk.told("editor") == [f"Go.\n\nPrevious agent output:\nwriter says {len(desk.told('writer')[0])}"]
    assert result.output == f"editor says {len(desk.told('editor')[0])}"
    assert list(result.sub_results) == ["reader", "writer", "editor"]
    assert (result.steps, result.usage.prompt_tokens) == (4, desk.spent)
    assert [(event.type, event.path) for event in handle.stream()] == [
        ("handoff", ()),
        ("step", ("reader",)),
        ("tool_call", ("reader",)),
        ("tool_result", ("reader",)),
        ("step", ("reader",)),
        ("handoff", ()),
        ("step", ("writer",)),
        ("handoff", ()),
        ("step", ("editor",)),
        ("done", ()),
    ]
    status = handle.get_status()
    assert (status.step, status.max_steps, status.usage.prompt_tokens) == (3, 3, desk.spent)
    assert len(handle.steps()) == 4


@pytest.mark.parametrize("place", PLACES)
def test_beside_each_other(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    desk = Desk(model, place)
    members = [desk.member("law", looks=True), desk.member("code"), desk.member("money", looks=True)]
    handle = runtime.start(Team("review", members, strategy="parallel"), "Go.")
    result = handle.result(timeout=60)

    assert result.output == "[law]: law says 3\n\n[code]: code says 3\n\n[money]: money says 3"
    assert result.sub_results == {name: f"{name} says 3" for name in ("law", "code", "money")}
    assert result.usage.prompt_tokens == desk.spent
    events = list(handle.stream())
    assert [event.target for event in events[:3]] == ["law", "code", "money"]
    assert [event.path for event in events if event.type == "step"] == [
        (name,) for name in ("law", "law", "code", *["money"] * 2)
    ]


@pytest.mark.parametrize("place", PLACES)
def test_one_answer_is_made_of_all(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    broken = [True]
    desk = Desk(model, place)
    members = [desk.member("law", looks=True), desk.member("code")]
    whole = desk.played["whole"] = model.play(lambda request: fail(401, "no key") if broken[0] else say("All fine."))
    team = Team("review", members, strategy="parallel", synthesis="Be brief.", model=whole)
    handle = runtime.start(team, "Go.")
    with pytest.raises(ExecutionFailed, match="no key"):
        handle.result(timeout=60)
    broken[0] = False
    handle.retry()
    result = handle.result(timeout=60)

    assert (result.output, result.steps) == ("All fine.", 4)
    assert result.sub_results == {"law": "law says 3", "code": "code says 3"}
    asked = model.requests(whole)[-1]
    assert (asked.prompt, asked.system[:9]) == ("Go.\n\n[law]: law says 3\n\n[code]: code says 3", "Be brief.")
    assert (len(desk.told("law")), desk.looked) == (2, ["law"])
    assert [(event.path, event.target) for event in handle.stream() if event.type in ("step", "handoff")] == [
        ((), "law"),
        ((), "code"),
        (("law",), None),
        (("law",), None),
        (("code",), None),
        ((), "review_synthesis"),
        (("review_synthesis",), None),
    ]
    status = handle.get_status()
    assert (status.step, status.max_steps) == (3, 3)
    assert [step.agent for step in handle.steps()] == ["law", "law", "code", "review_synthesis"]


@pytest.mark.parametrize("place", PLACES)
def test_the_answer_is_of_the_type_of_who_gives_it(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    desk = Desk(model, place)
    members = [desk.member("law"), desk.member("code")]
    judged = model.play(lambda request: say('{"fine": true}'))
    judge = Agent("judge", model=judged, output_type=dict[str, bool], model_place=place)
    beside = Team("review", members, strategy="parallel", synthesis=judge)

    for team, asked in ((beside, ["law", "code"]), (members[0] >> judge, ["law", "judge"])):
        result = runtime.run(team, "Go.")
        assert (result.output, list(result.sub_results)) == ({"fine": True}, asked)


@pytest.mark.parametrize("place", PLACES)
def test_one_is_chosen_by_a_model(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    desk = Desk(model, place)
    members = [desk.member("billing"), desk.member("refunds", looks=True)]
    chooser = desk.played["chooser"] = model.play([say("That is for refunds.")])
    team = Team("desk", members, strategy="router", model=chooser, instructions="Be quick.")
    result = runtime.run(team, "Money back!")

    assert result.output == "refunds says 11"
    assert result.sub_results == {"refunds": "refunds says 11"}
    (asked,) = model.requests(chooser)
    assert "- billing: Knows all about billing." in asked.system
    assert "Be quick." in asked.system
    assert result.usage.prompt_tokens == desk.spent


def test_one_is_chosen_by_a_function(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)

    async def choose(prompt: str) -> str:
        return "refunds" if "back" in prompt else "billing"

    team = Team("desk", [desk.member("billing"), desk.member("refunds")], strategy="router", router=choose)
    assert runtime.run(team, "Money back!").output == "refunds says 11"
    assert runtime.run(team, "Pay!").output == "billing says 4"


@pytest.mark.parametrize("chosen", ["refund", None, ["billing"]], ids=["unknown", "nothing", "a list"])
def test_a_function_that_chooses_nobody_fails_the_run(runtime: AgentRuntime, model: Stage, chosen: Any) -> None:
    desk = Desk(model)
    team = Team("desk", [desk.member("billing"), desk.member("refunds")], strategy="router", router=lambda _: chosen)
    with pytest.raises(ExecutionFailed, match=r"chose .*, who is no member of it: its members are"):
        runtime.run(team, "Pay!", timeout=60)
    assert desk.told("billing") == []


def test_until_takes_what_is_true(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    members = [desk.member("ann"), desk.member("bob")]
    team = Team("talk", members, strategy="round_robin", max_turns=5, until=re.compile("bob").search)
    assert runtime.run(team, "Go.", timeout=60).steps == 2


@pytest.mark.parametrize("said", ["${workflow.input.prompt} ${said.output.result} $.x", "long " * 20_000])
def test_what_is_said_in_turns_is_data_and_may_be_long(runtime: AgentRuntime, model: Stage, said: str) -> None:
    told: list[str] = []

    def script(request: ModelRequest) -> Reply:
        told.append(request.prompt)
        return say(said)

    members = [Agent(name, model=model.play(script), model_place="worker") for name in ("ann", "bob")]
    result = runtime.run(Team("talk", members, strategy="round_robin", max_turns=6), said, timeout=90)

    turns = [f"[{name}]: {said}" for name in ("ann", "bob") * 3]
    assert told == ["\n\n".join([said, *turns[:turn]]) for turn in range(6)]
    assert (result.output, result.sub_results) == (said, {"ann": said, "bob": said})


@pytest.mark.parametrize("place", PLACES)
def test_in_turns(runtime: AgentRuntime, model: Stage, place: Any) -> None:
    desk = Desk(model, place)
    team = Team("talk", [desk.member("ann"), desk.member("bob")], strategy="round_robin", max_turns=5)
    handle = runtime.start(team, "Go.")
    result = handle.result(timeout=60)

    assert [event.target for event in handle.stream() if event.type == "handoff"] == ["ann", "bob"] * 2 + ["ann"]
    assert desk.told("bob")[0] == "Go.\n\n[ann]: ann says 3"
    assert desk.told("ann")[2].count("[ann]: ") == 2
    assert result.output == f"ann says {len(desk.told('ann')[2])}"
    assert (result.steps, result.usage.prompt_tokens) == (5, desk.spent)


@pytest.mark.parametrize("until", ["bob says 22", "bob says 22".__eq__])
def test_until_it_is_done(runtime: AgentRuntime, model: Stage, until: Any) -> None:
    desk = Desk(model)
    members = [desk.member("ann"), desk.member("bob")]
    team = Team("talk", members, strategy="round_robin", max_turns=50, until=until)
    result = runtime.run(team, "Go.")  # to Bob it has 19 letters more

    assert (result.output, result.steps) == ("bob says 22", 2)


def test_parts_of_a_task_are_given_to_a_worker(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    turn = calls(*(call("part", request=part) for part in ("one", "two")))
    top = desk.played["boss"] = model.play([turn, say("Both.")])
    boss = scatter_gather("boss", desk.member("part"), model=top, model_place="worker")
    result = runtime.run(boss, "Go.")

    assert (result.output, result.usage.prompt_tokens) == ("Both.", desk.spent)
    assert sorted(desk.told("part")) == ["one", "two"]


def test_by_chance(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    members = [desk.member(name) for name in ("ann", "bob", "cid")]
    handle = runtime.start(Team("talk", members, strategy="random", max_turns=8), "Go.")

    assert handle.result(timeout=60).steps == 8
    drawn = [event.target for event in handle.stream() if event.type == "handoff"]
    assert len(drawn) == 8
    assert set(drawn) <= {"ann", "bob", "cid"}


def test_as_a_person_says(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    team = Team("talk", [desk.member("ann"), desk.member("bob")], strategy="manual", max_turns=2)
    handle = runtime.start(team, "Go.")
    for number, name in enumerate(("bob", "ann")):
        wait_until(lambda: len(handle.requests()) == 1, "a question")
        assert handle.get_status().is_waiting
        assert ("[bob]: bob says 3" in str(handle.requests()[0].args)) == bool(number)
        handle.respond(name, by="eve")
        wait_until(lambda name=name: desk.told(name), "the one that was chosen")

    assert handle.result(timeout=60).output.startswith("ann says")
    assert [event.by for event in handle.stream() if event.type == "decision"] == ["eve", "eve"]


def test_a_team_goes_on_in_the_member_that_failed(runtime: AgentRuntime, model: Stage) -> None:
    broken = [True]
    desk = Desk(model)
    middle = desk.member("writer", lambda request: fail(401, "no such key") if broken[0] else say("written"))
    team = desk.member("reader", looks=True) >> middle >> desk.member("editor")
    handle = runtime.start(team, "Go.")
    with pytest.raises(ExecutionFailed, match="no such key"):
        handle.result(timeout=60)
    broken[0] = False
    handle.retry()

    assert handle.result(timeout=60).output.startswith("editor says")
    assert desk.looked == ["reader"]
    assert len(desk.told("reader")) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("strategy", ["sequential", "parallel", "synthesis", "router", "round_robin"])
def test_a_team_ends_for_the_reason_of_who_gives_its_answer(
    runtime: AgentRuntime, model: Stage, strategy: Any, place: Any
) -> None:
    desk = Desk(model, place)
    whole, cut = desk.member("whole"), desk.member("cut", lambda _: say("As I was", finish="length"))
    options: dict[str, Any] = {
        "synthesis": {"strategy": "parallel", "synthesis": cut},
        "router": {"strategy": "router", "router": lambda _: "cut"},
    }.get(strategy, {"strategy": strategy})
    second = desk.member("also") if strategy == "synthesis" else cut
    team = Team(f"ends_{strategy}_{place}", [whole, second], **options)

    above = runtime.start(Team(f"above_{team.name}", [desk.member("first"), team]), "Go.")
    before = runtime.start(Team(f"before_{team.name}", [team, desk.member("last")]), "Go.")
    assert above.result(timeout=60).finish_reason == "length"
    assert before.result(timeout=60).finish_reason == "stop"


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_a_team_that_failed_has_used_what_all_have_used(runtime: AgentRuntime, model: Stage, strategy: Any) -> None:
    """Its steps are the turns that were begun, as those of any agent that failed; a team below counts with them."""
    desk = Desk(model)
    waits = threading.Event()

    def breaks(request: Any) -> Any:
        if not request.turn:
            return call("look", topic="ink")
        waits.wait(120)
        return fail(401, "no such key")

    def reads(request: Any) -> Any:
        return say("read") if request.turn else call("look", topic="tea")

    reader = desk.member(f"reader_{strategy}", reads, looks=True)
    writer = desk.member(f"writer_{strategy}", breaks, looks=True)
    team = Team(f"desk_{strategy}", [reader, writer], strategy=strategy)
    handle = runtime.start(Team(f"office_{strategy}", [team, desk.member("editor")]), "Go.")
    read = f"workflowType={reader.name} AND status=COMPLETED"
    wait_until(lambda: runtime.client.search(read, size=1) != [], "the reader to be done", 60)
    waits.set()
    with pytest.raises(ExecutionFailed, match="no such key") as raised:
        handle.result(timeout=150)

    result, status = raised.value.result, handle.get_status()
    assert result is not None
    assert status.usage == result.usage
    by_agent = handle.usage_by_agent()
    assert result.usage.prompt_tokens == sum(each.prompt_tokens for each in by_agent.values())
    if strategy == "sequential":  # of those beside each other no more is told once one was cut off
        assert sum(event.usage.prompt_tokens for event in handle.stream() if event.usage) == result.usage.prompt_tokens
    assert by_agent[writer.name].prompt_tokens > 0
    assert (result.steps, status.current_task) == (4, None)


def test_a_paused_team_begins_nothing(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    reader = desk.member("reader", looks=True)
    begun, go_on = threading.Event(), threading.Event()

    @tool
    def look(topic: str) -> str:
        """Look something up."""
        begun.set()
        go_on.wait(30)
        return topic

    team = dataclasses.replace(reader, tools=[look]) >> desk.member("writer")
    handle = runtime.start(team, "Go.")
    assert begun.wait(30)
    handle.pause()
    (member,) = [task for task in runtime.client.workflow(handle.execution_id).tasks if task.sub_workflow_id]
    paused = runtime.handle(str(member.sub_workflow_id))
    go_on.set()
    assert paused.get_status().status == "PAUSED"
    wait_until(lambda: any(call.result for step in paused.steps() for call in step.calls), "the call to end")
    assert len(desk.told("reader")) == 1
    handle.resume()

    assert handle.result(timeout=60).output.startswith("writer says")
    assert len(desk.told("reader")) == 2


def test_teams_in_teams_and_as_tools(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    pair = Team("pair", [desk.member("ann", looks=True), desk.member("bob")], strategy="parallel", description="Two.")
    whole = pair >> desk.member("eve")
    top = desk.played["boss"] = model.play([call("pair_then_eve", request="Go."), say("Done.")])
    tools = [agent_tool(whole, description="All three.")]
    handle = runtime.start(Agent("boss", model=top, tools=tools, model_place="worker"), "Go on.")

    result = handle.result(timeout=60)
    assert result.output == "Done."
    assert "[ann]: ann says 3" in desk.told("eve")[0]
    assert ("pair_then_eve", "pair", "ann") in {event.path for event in handle.stream()}
    assert result.usage.prompt_tokens == desk.spent


def test_what_makes_no_team(model: Stage) -> None:
    ann, bob = (Agent(name, model="openai/none") for name in ("ann", "bob"))
    cid, eve = (Agent(name, model="openai/none", description=name) for name in ("cid", "eve"))
    served = dataclasses.replace(eve, model_place="server")
    for agents, options, why in (
        ([ann], {}, "two members"),
        ([ann, ann], {}, "two members are named 'ann'"),
        ([ann, "bob"], {}, "list of agents"),
        ([ann, bob], {"strategy": "chaos"}, "strategy is"),
        ([ann, bob], {"strategy": "router"}, "nobody chooses"),
        ([ann, bob], {"router": ann}, "where strategy='router'"),
        ([ann, bob], {"max_turns": 3}, "take turns"),
        ([ann, bob], {"until": "done"}, "until is a text or a function"),
        ([ann, bob], {"strategy": "round_robin", "until": 3}, "until is a text or a function"),
        ([ann, bob], {"synthesis": "Both."}, "where strategy='parallel'"),
        ([ann, bob], {"synthesis": 3, "strategy": "parallel"}, "an agent, or instructions"),
        ([ann, bob], {"synthesis": bob, "strategy": "parallel", "model": "openai/none"}, "router and model"),
        ([ann, bob], {"allowed_transitions": {"ann": ["bob"]}}, "for strategy='swarm'"),
        ([ann, bob], {"strategy": "swarm"}, "nothing says what it does"),
        ([cid, eve], {"strategy": "swarm", "until": "done"}, "until is a text or a function"),
        ([cid, eve], {"strategy": "swarm", "allowed_transitions": {"cid": ["ann"]}}, "allowed_transitions"),
        ([cid, served], {"strategy": "swarm"}, "the Conductor server calls the model of eve"),
        ([cid, Team("x", [ann, bob])], {"strategy": "swarm"}, "cannot take over"),
        ([cid, Team("x", [ann, eve], strategy="router", router=str)], {"strategy": "swarm"}, "cannot take over"),
        ([bob, Team("x", [ann, Agent("bob", model="openai/other")])], {}, "two agents are named 'bob'"),
    ):
        with pytest.raises(DefinitionError, match=why):
            Team("team", agents, **options)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="no agent"):
        ann >> "bob"  # type: ignore[operator]


def test_a_swarm_is_one_run(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    rounds = ["bob", "cid", "ann", "cid", "bob", "ann"]

    def reply(request: Any) -> Any:
        return call(f"transfer_to_{rounds[request.turn]}") if request.turn < len(rounds) else say("Together.")

    members = [desk.member(name, reply) for name in ("ann", "bob", "cid")]
    handle = runtime.start(Team("crew", members, strategy="swarm", description="All."), "Go.")
    result = handle.result(timeout=60)

    assert (result.output, result.steps, result.usage.prompt_tokens) == ("Together.", 7, desk.spent)
    assert [step.agent for step in handle.steps()] == ["ann", *rounds]
    assert [event.target for event in handle.stream() if event.type == "handoff"] == rounds
    assert [len(model.requests(desk.played[name])) for name in ("ann", "bob", "cid")] == [3, 2, 2]
    status = handle.get_status()
    assert (status.agent, status.step, status.max_steps) == ("crew", 7, 100)
    (asked, *_) = model.requests(desk.played["ann"])
    assert {each.name for each in asked.tools} == {"transfer_to_bob", "transfer_to_cid"}


def test_a_swarm_in_a_team_and_as_a_tool(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    ann = desk.member("ann", lambda request: call("transfer_to_bob") if not request.turn else say("From ann."))
    bob = desk.member("bob", lambda request: call("look", topic="x") if request.turn == 1 else say("From bob."))
    bob = dataclasses.replace(bob, tools=desk.member("none", looks=True).tools)
    swarm = Team("pair", [ann, bob], strategy="swarm", max_turns=3, description="Two.")
    team = swarm >> desk.member("eve")
    top = desk.played["boss"] = model.play([call("pair", request="Go."), say("Done.")])
    boss = Agent("boss", model=top, tools=[agent_tool(swarm)], model_place="worker")

    result = runtime.run(team, "Go.")
    assert "From bob." in desk.told("eve")[0]
    assert result.usage.prompt_tokens == desk.spent
    assert [(event.path, event.agent) for event in result.events if event.target == "bob"] == [(("pair",), "ann")]
    handle = runtime.start(boss, "Go.")
    assert handle.result(timeout=60).output == "Done."
    assert desk.looked == ["x", "x"]
    assert [(event.path, event.agent) for event in handle.stream() if event.type == "step"] == [
        ((), None),
        (("pair",), "ann"),
        (("pair",), "bob"),
        (("pair",), "bob"),
        ((), None),
    ]


def test_who_hands_over_to_whom_in_a_swarm(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    eve = desk.member("eve", lambda request: say("The end."))
    ann = desk.member("ann", lambda request: call("transfer_to_bob"))
    bob = dataclasses.replace(desk.member("bob", lambda request: call("transfer_to_cid")), handoffs=[eve])
    last = handoff(eve, when=OnTextMention("eve"))  # by a text, and not by a call
    cid = dataclasses.replace(desk.member("cid", lambda request: say("To Eve now.")), handoffs=[last])
    team = Team("crew", [ann, bob, cid], strategy="swarm", allowed_transitions={"ann": ["bob"]})
    result = runtime.run(team, "Go.")

    assert (result.output, result.steps) == ("The end.", 4)
    shown = {name: {each.name for each in model.requests(desk.played[name])[0].tools} for name in desk.played}
    assert shown == {
        "ann": {"transfer_to_bob"},
        "bob": {"transfer_to_ann", "transfer_to_cid", "transfer_to_eve"},
        "cid": {"transfer_to_ann", "transfer_to_bob"},
        "eve": set(),
    }


def test_a_swarm_has_a_budget(runtime: AgentRuntime, model: Stage) -> None:
    desk = Desk(model)
    ann = desk.member("ann", lambda request: call("transfer_to_bob") if not request.turn else say("From ann."))
    bob = desk.member("bob", lambda request: call("transfer_to_ann"))
    handle = runtime.start(Team("pair", [ann, bob], strategy="swarm", budget=Budget(turns=2)), "Go.")

    wait_until(lambda: handle.requests(), "the budget to be used up")
    assert handle.get_status().is_waiting
    handle.extend(turns=1)
    assert handle.result(timeout=60).output == "From ann."
