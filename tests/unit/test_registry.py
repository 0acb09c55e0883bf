"""Versions: the same content keeps its own, other content gets the next, whoever registers at the same time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentspan.agents import Agent, Definition, Team, agent_tool, compile_agent, tool
from agentspan.control.registry import Registering, register
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict
from tests.unit.little_engine import LittleEngine, serving


@pytest.fixture
def engine() -> LittleEngine:
    return LittleEngine()


@pytest.fixture
def client(engine: LittleEngine) -> Iterator[Conductor]:
    with serving(engine) as opened:
        yield opened


@tool
def add(a: int) -> int:
    """Add."""
    return a


def definition(instructions: str) -> Definition:
    return compile_agent(Agent("sums", model="openai/gpt-4o", instructions=instructions, tools=[add]))


ONE, TWO, THREE = (definition(text) for text in ("One.", "Two.", "Three."))


def test_the_same_content_keeps_its_version_and_other_content_gets_the_next(
    engine: LittleEngine, client: Conductor
) -> None:
    assert [register(client, which) for which in (ONE, TWO, ONE, TWO, THREE)] == [1, 2, 1, 2, 3]
    assert set(engine.workflows) == {(name, n) for name in ("sums", "sums.segment") for n in (1, 2, 3)}


def test_nothing_is_sent_for_what_is_there(engine: LittleEngine, client: Conductor) -> None:
    register(client, ONE)
    sent = list(engine.done)

    register(client, ONE)

    assert engine.done == sent


def test_the_segment_of_a_version_is_the_one_that_its_agent_calls(engine: LittleEngine, client: Conductor) -> None:
    register(client, ONE)
    register(client, TWO)

    (loop,) = [task for task in engine.workflows["sums", 2]["tasks"] if task["type"] == "DO_WHILE"]
    assert loop["loopOver"][0]["subWorkflowParam"] == {"name": "sums.segment", "version": 2}


def test_what_a_process_that_died_left_out_is_completed(engine: LittleEngine, client: Conductor) -> None:
    register(client, ONE)
    for workflow in ONE.workflows[1:]:
        del engine.workflows[workflow["name"], 1]

    assert register(client, ONE) == 1
    assert set(engine.workflows) == {(workflow["name"], 1) for workflow in ONE.workflows}


def test_a_version_that_another_process_creates_first_is_its_own(engine: LittleEngine, client: Conductor) -> None:
    def other(method: str, path: str) -> None:
        if (method, path) == ("POST", "/metadata/workflow") and not engine.workflows:
            for workflow in TWO.at_version(1):
                engine.workflows[workflow["name"], 1] = workflow

    engine.before = other

    assert register(client, ONE) == 2
    assert register(client, TWO) == 1


def test_the_same_content_from_another_process_is_shared(engine: LittleEngine, client: Conductor) -> None:
    def other(method: str, path: str) -> None:
        if (method, path) == ("POST", "/metadata/workflow") and not engine.workflows:
            first = ONE.at_version(1)[0]
            engine.workflows[first["name"], 1] = first

    engine.before = other

    assert register(client, ONE) == 1
    assert {version for _, version in engine.workflows} == {1}


def test_names_that_belong_to_somebody_else_are_left_alone(engine: LittleEngine, client: Conductor) -> None:
    engine.workflows["sums", 7] = {"name": "sums", "version": 7, "ownerEmail": "billing@example.org"}

    with pytest.raises(Conflict, match="already has a workflow definition 'sums' that belongs to billing@"):
        register(client, ONE)
    assert engine.done == []


def test_a_task_that_belongs_to_somebody_else_is_left_alone(engine: LittleEngine, client: Conductor) -> None:
    engine.tasks["sums.add"] = {"name": "sums.add", "ownerApp": "billing"}

    with pytest.raises(Conflict, match=r"already has a task definition 'sums\.add' that belongs to billing"):
        register(client, ONE)
    assert engine.done == []


def test_a_task_definition_that_was_changed_is_put_right(engine: LittleEngine, client: Conductor) -> None:
    register(client, ONE)
    engine.tasks["sums.add"] = engine.tasks["sums.add"] | {"responseTimeoutSeconds": 3600}

    register(client, TWO)

    assert engine.tasks["sums.add"]["responseTimeoutSeconds"] == 5
    assert len(engine.changes("POST", "/metadata/taskdefs")) == len(ONE.tasks) + 1, "the others are as they were"


def test_a_member_that_another_member_calls_is_two_definitions(engine: LittleEngine, client: Conductor) -> None:
    for before in ("One.", "Two."):
        register(client, compile_agent(Agent("checker", model="openai/gpt-4o", instructions=before)))
    checker = Agent("checker", model="openai/gpt-4o", description="Checks.")
    writer = Agent("writer", model="openai/gpt-4o", tools=[agent_tool(checker)])
    team = Team("desk", [checker, writer])

    versions = Registering(client, "server").versions(team)

    assert versions["checker"] == 3
    (member,) = [
        task["subWorkflowParam"]
        for task in engine.workflows["desk", versions["desk"]]["tasks"]
        if task.get("subWorkflowParam", {}).get("name") == "checker"
    ]
    assert member["version"] == 3
