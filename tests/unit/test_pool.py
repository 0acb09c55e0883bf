"""The budget of members beside each other: what is declared and compiled, the sums, and who asks, without a server."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import jq
import pytest

from agentspan.agents import Agent, Budget, DefinitionError, Team, compile_agent
from agentspan.compiler._tasks import program
from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.reading.drafts import Draft, told
from agentspan.reading.pool import Pool, Pools, Standing
from agentspan.stored.pool import PoolNotes
from agentspan.worker import pool as looking
from agentspan.worker.call import Call, PutOff

Json = dict[str, Any]

BUDGET = Budget(turns=3)


def agent(name: str, **options: Any) -> Agent[str]:
    return Agent(name, model="openai/gpt-4o", **{"model_place": "worker", "description": name, **options})


ANN, BOB, CID = agent("ann"), agent("bob"), agent("cid")


def beside(*members: Agent[Any], **options: Any) -> Team:
    return Team("team", members or (ANN, BOB), strategy="parallel", **{"budget": BUDGET, **options})


# ---- what is declared and compiled -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "options", "why"),
    [
        ((ANN, BOB >> CID), {}, "bob_then_cid, which works beside others in team, is a team"),
        ((ANN, Team("deep", [BOB, CID], strategy="parallel")), {}, "deep, which works beside others in team, is"),
        ((ANN, agent("own", budget=BUDGET)), {}, "its member own has one of its own"),
        ((ANN, BOB), {"synthesis": agent("whole", budget=BUDGET)}, "its member whole has one of its own"),
        ((ANN, agent("cook", model_place="server")), {}, "agent 'cook': the Conductor server does not ask a person"),
    ],
    ids=["sequence", "beside", "own", "synthesis", "server"],
)
def test_what_makes_no_sense_is_refused(members: Any, options: Json, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        beside(*members, **options)


def test_only_members_beside_each_other_look_at_what_the_others_use() -> None:
    swarm = Team("swarm", [BOB, CID], strategy="swarm")
    team = Team("outer", [agent("first"), beside(ANN, swarm, synthesis=agent("whole"), budget=None)], budget=BUDGET)
    inner = cast("Team", team.agents[1])
    assert inner.synthesis is not None

    def looks(each: Agent[Any]) -> bool:
        return any(task["name"].endswith(".run.budget") for task in compile_agent(each).tasks)

    assert [looks(each) for each in (team.agents[0], *inner.agents, inner.synthesis)] == [False, True, True, False]
    assert not looks(beside(budget=None).agents[0])


# ---- the sums --------------------------------------------------------------------------------------------


def standing(member: str, spent: Json, limits: Json, **more: Any) -> Standing:
    found = {"spent": spent, "limits": limits, "ending": more.pop("ending", False)}
    return Standing(member=member, found=found, decided=more.pop("decided", {}), **more)


def test_what_all_have_used_is_added_to_what_was_used_before() -> None:
    limits = {"turns": 10, "cost": 2.0, "time": 60.0, "input_tokens_per_request": 500}
    begun = {"turns": 2, "cost": 0.5, "time": 10.0, "input_tokens_per_request": 400}
    pool = Pool(
        begun={"spent": begun, "limits": limits, "ending": False},
        standings=(
            standing("member_1", {**begun, "turns": 5, "cost": 0.75, "time": 12.0}, limits),
            standing("member_2", {**begun, "turns": 3, "time": 31.0}, {**limits, "turns": 14}),
            standing("member_3", begun, limits, decided={"mode": "extend", "extend": {"turns": 1, "cost": 1.0}}),
        ),
    )

    assert pool.spent({"input_tokens_per_request": 7}) == {
        "turns": 6,
        "cost": 0.75,
        "time": 31.0,
        "input_tokens_per_request": 7,
    }
    assert pool.limits == {**limits, "turns": 15, "cost": 3.0}
    assert not pool.ending


@pytest.mark.parametrize("more", [{"ending": True}, {"decided": {"mode": "finish"}}])
def test_a_last_answer_of_one_is_one_of_all(more: Json) -> None:
    limits, spent = {"turns": 3}, {"turns": 1}
    standings = (standing("member_1", spent, limits), standing("member_2", spent, limits, **more))

    assert Pool(begun={"spent": spent, "limits": limits}, standings=standings).ending


def look(after: Json | None = None, handed: Any = None) -> Json:
    """What a member's look at what it has used itself gives."""
    task = compile_agent(beside().agents[0]).workflows[-1]["tasks"][0]
    given = {"after": after, "handed": handed, "limits": {}, "warn_at": 0.8, "steps": 0, "turn": 1}
    found: Json = jq.compile(task["inputParameters"]["queryExpression"]).input_value(given).first()
    return found


def together(begun: Json, *counted: Json) -> Json:
    given = {"begun": begun, "counted": counted, "warn_at": 0.8}
    found: Json = jq.compile(program("team_together")).input_value(given).first()
    return found["budget"]


def test_what_is_left_to_those_after_them_is_what_the_look_of_the_last_one_said() -> None:
    limits = {"cost": 10.0, "tokens": 1000, "turns": 9, "calls": 9, "time": 90.0}
    used = {"prompt_tokens": 20, "completion_tokens": 5, "cost": 0.25, "model": "x"}
    before = {"before": look(handed=[{"before": {"limits": limits}}]), "usage": used, "step": 2, "calls": ["a"]}
    begun = look(handed=[before])
    one = look(handed={"before": begun})
    one = look(handed={"before": one, "usage": used, "step": 3, "calls": ["a", "b"], "times": [1000, 4000], "idle": 1})
    two = {"before": look(handed={"before": begun}), "usage": used, "step": 1, "times": [1000, 9000]}
    two = look(handed={**two, "decided": {"mode": "extend", "extend": {"turns": 4}, "waited": 3}})
    left = together(begun, one, two)
    next_one = look(handed=[None, left])

    assert left["before"]["spent"] == {"cost": 0.75, "tokens": 75, "calls": 3, "turns": 6, "time": 5.0}
    assert (one["spent"]["time"], two["spent"]["time"]) == (2.0, 5.0)
    pool = Pool(begun=begun, standings=(standing("m1", one["spent"], one["limits"]), standing("m2", **of(two))))
    assert pool.spent({}) == left["before"]["spent"]
    assert pool.limits == left["before"]["limits"] == {**limits, "turns": 13}
    assert (next_one["spent"], next_one["limits"]) == (left["before"]["spent"], left["before"]["limits"])
    assert next_one["base"]["steps"] == 6
    assert {name: next_one["base"]["usage"][name] for name in ("prompt_tokens", "cost")} == {
        "prompt_tokens": 60,
        "cost": 0.75,
    }


def of(found: Json) -> Json:
    return {"spent": found["spent"], "limits": found["limits"]}


def test_that_the_models_answer_with_what_there_is_goes_for_those_after_them() -> None:
    begun = look(handed=[{"before": {"limits": {"turns": 2}}}])
    left = together(
        begun, look(handed={"before": begun}), look(handed={"before": begun, "decided": {"mode": "finish"}})
    )

    assert look(handed=[left])["ending"]
    assert not look(handed=[together(begun, begun, begun)])["ending"]


# ---- what is read of the others ----------------------------------------------------------------------------


class Server:
    """Runs as they are stored, by their ids, and what was read of them."""

    def __init__(self, **runs: WorkflowRecord) -> None:
        self.runs = runs
        self.read: list[Any] = []

    def workflow(self, run: str) -> WorkflowRecord:
        self.read.append(run)
        return self.runs[run]

    def tasks(self, run: str, start: int) -> list[TaskRecord]:
        self.read.append((run, start))
        return self.runs[run].tasks[start:]


def stored(reference: str, status: Any = "COMPLETED", **output: Any) -> TaskRecord:
    part = output.pop("part", None)
    given = output.pop("given", {})
    values: Json = {"task_id": reference, "reference_task_name": reference, "status": status, "input_data": given}
    return TaskRecord(**values, output_data=output, sub_workflow_id=part)


def run_of(*tasks: TaskRecord, looping: bool = False) -> WorkflowRecord:
    definition = {"tasks": [{"type": "DO_WHILE"}] if looping else []}
    return WorkflowRecord(workflow_id="x", status="RUNNING", tasks=list(tasks), workflow_definition=definition)


def used(turns: int, **more: Any) -> Json:
    return {"spent": {"turns": turns}, "limits": {"turns": 4}, **more}


BEGUN = stored("begun", result=used(0))
OWN = Standing(member="member_1", found=used(1), decided={})


def second(*tasks: TaskRecord, counted: TaskRecord | None = None, status: Any = "IN_PROGRESS") -> Standing | None:
    """How the second member stands, whose run these tasks are."""
    members = (stored("member_1", "IN_PROGRESS", part="one"), stored("member_2", status, part="two" if tasks else None))
    team = run_of(BEGUN, *members, *([counted] if counted else []))
    pool = Pools(cast("Any", Server(team=team, two=run_of(*tasks)))).of("team", OWN)
    return None if pool is None else pool.standings[1]


def test_a_member_stands_as_its_newest_look_says_and_what_was_decided_after_it() -> None:
    look, over = stored("spent_2", result=used(3)), stored("pool_2", result={"mode": "over"})
    waits = stored("pool_2", "SCHEDULED", pool=PoolNotes(since=1, claims=True).to_json()["pool"])
    extended = {"mode": "extend", "extend": {"turns": 5}}

    def at(**more: Any) -> Standing:
        return Standing(**{"member": "member_2", "found": used(3), "decided": {}, **more})

    assert second(stored("llm_1")) == at(found=used(0))
    assert second(stored("spent_1", result=used(2)), look) == at()
    assert second(look, stored("pool_2", "SCHEDULED")) == at()
    assert second(look, waits) == at(claims=True)
    assert second(look, stored("pool_2", "CANCELED", **waits.output_data), stored("pool_2", "SCHEDULED")) == at()
    assert second(look, over) == at(request="")
    assert second(look, over, stored("budget_2", "IN_PROGRESS", part="asked")) == at(request="asked")
    assert second(look, over, stored("budget_2", **extended, part="asked")) == at(decided=extended)
    assert second(look, stored("pool_2", result={"mode": "on"}), stored("llm_2", "SCHEDULED")) == at()
    assert second(look, status="COMPLETED", counted=stored("counted_2", result=used(4))) == at(found=used(4))


def test_a_member_between_two_of_its_workflows_is_waited_for() -> None:
    assert second() is None
    assert second(stored("llm_1"), status="COMPLETED") is None


def test_of_a_segment_only_what_has_come_since_is_read() -> None:
    left = {"workflowInput": {"budget": {"before": used(8), "decided": {"mode": "finish"}}}}
    segments = [stored("segment__1", "IN_PROGRESS", part="a")]
    members = (stored("member_1", "IN_PROGRESS", part="one"), stored("member_2", "IN_PROGRESS", part="two"))
    server = Server(team=run_of(BEGUN, *members), two=run_of(*segments, looping=True), a=run_of(), b=run_of())
    pools = Pools(cast("Any", server))

    def standing_now() -> Standing | None:
        server.read.clear()
        pool = pools.of("team", OWN)
        return None if pool is None else pool.standings[1]

    turn = [stored("spent_1", result=used(1)), stored("llm_1")]
    server.runs["a"] = run_of(*turn, stored("tool_1", "IN_PROGRESS"))
    assert standing_now() == Standing(member="member_2", found=used(1), decided={})
    assert server.read == ["team", "two", ("a", 0)]
    server.runs["a"] = run_of(*turn, stored("tool_1"), stored("spent_8", result=used(7)))
    assert standing_now() == Standing(member="member_2", found=used(7), decided={})
    assert server.read == ["team", ("a", 2)]
    server.runs["two"] = run_of(*segments, stored("segment__2", "SCHEDULED", given=left), looping=True)
    assert standing_now() is None
    server.runs["two"] = run_of(*segments, stored("segment__2", "IN_PROGRESS", given=left, part="b"), looping=True)
    assert standing_now() == Standing(member="member_2", found=used(8), decided={"mode": "finish"})
    assert server.read == ["team", "two", ("b", 0)]


# ---- who asks --------------------------------------------------------------------------------------------


class Members:
    """Members that all have used the budget up, each with what it has stored of its look."""

    def __init__(self, many: int) -> None:
        self.notes = [PoolNotes() for _ in range(many)]
        self.asks: list[int] = []
        self.seen: list[tuple[Standing, ...]] = [()] * many

    def read(self, number: int) -> None:
        """One reads what the others have stored."""
        self.seen[number] = tuple(
            Standing(
                member=f"member_{place}",
                found={},
                decided={},
                request=f"request_{place}" if place in self.asks else None,
                claims=notes.claims and place not in self.asks,
            )
            for place, notes in enumerate(self.notes)
        )

    def store(self, number: int) -> None:
        """It stores what follows from that."""
        stored = self.notes[number].to_json()
        given = {"called_by": {"execution_id": "team", "call": f"member_{number}"}, "own": {}, "warn_at": 0.8}
        task = TaskRecord(task_id="x", status="IN_PROGRESS", input_data=given, output_data=stored)
        call = cast("Call", SimpleNamespace(task=task, host=SimpleNamespace(now=lambda: 1.0)))
        look = looking._Look(call, looking.PoolInput.of(given))
        try:
            look.claim(self.seen[number])
        except PutOff as later:
            self.notes[number] = PoolNotes.of(later.note)
        else:
            self.asks.append(number)


def test_two_never_ask_at_once_however_their_looks_cross() -> None:
    """Every order of six reads and writes of each of two members."""
    for order in set(itertools.combinations(range(12), 6)):
        members, turns = Members(2), [0, 0]
        for moment in range(12):
            number = int(moment in order)
            if number not in members.asks:
                (members.read if turns[number] % 2 == 0 else members.store)(number)
                turns[number] += 1
        assert len(members.asks) < 2, order


@pytest.mark.parametrize("many", [1, 2, 5])
def test_one_of_them_asks_and_the_others_wait_for_that(many: int) -> None:
    members = Members(many)
    for _ in range(10):
        for number in range(many):
            members.read(number)
        for number in set(range(many)) - set(members.asks):
            members.store(number)

    assert len(members.asks) == 1
    waiting = [notes for number, notes in enumerate(members.notes) if number not in members.asks]
    assert all(notes.waits_for == (f"request_{members.asks[0]}",) and not notes.claims for notes in waiting)


# ---- events ----------------------------------------------------------------------------------------------


def test_what_several_members_tell_is_told_once() -> None:
    def draft(name: str, once: Any) -> Draft:
        return Draft(type="waiting", step=1, at=1, path=(name,), once=once, details={})

    drafts = [draft("ann", ("waiting", "r")), draft("ann", None), draft("bob", ("waiting", "r")), draft("bob", None)]
    assert [each.path for each in told(drafts)] == [("ann",), ("ann",), ("bob",)]
