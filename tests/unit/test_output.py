"""Types of answers: their schemas, what fits, what a turn's plan becomes, what is refused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentspan.agents import Agent, DefinitionError, compile_agent, tool
from agentspan.schema.output import AnswerError, answer_type
from agentspan.worker.output import Output, typed_plan


class Tree(BaseModel):
    """A tree."""

    name: str = Field(alias="title")
    below: list[Tree] = []


@dataclass
class Point:
    """Where."""

    x: int


@tool
def price(what: str) -> int:
    """What a thing costs."""
    return len(what)


def test_an_object_is_its_own_schema() -> None:
    found = answer_type(Point, "it")

    assert (found.name, found.description, found.wrapped) == ("Point", "Where.", False)
    assert found.schema == {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (list[int], "list_int"),
        (Point | int, "Point_int"),
        (Literal["a"], "Literal_a"),
        (Tree, "Tree"),
        (float, "float"),
    ],
)
def test_what_is_none_is_a_field_of_one(kind: Any, name: str) -> None:
    found = answer_type(kind, "it")

    assert (found.name, found.wrapped) == (name, True)
    assert (list(found.schema["properties"]), found.schema["required"]) == (["response"], ["response"])


@pytest.mark.parametrize("text", ['{"x": 1}', '```json\n{"x": 1}\n```', ' {"x": 1}\n'])
def test_an_answer_is_parsed(text: str) -> None:
    found = answer_type(Point, "it")

    assert found.read(found.parse(text)) == Point(1)


def test_what_is_stored_is_what_the_model_gave() -> None:
    """A class with aliases writes itself otherwise than it is read."""
    found = answer_type(Tree, "it")
    stored = found.parse('{"response": {"title": "a", "below": [{"title": "b"}]}}')

    assert stored == {"title": "a", "below": [{"title": "b"}]}
    assert found.read(stored).below[0].name == "b"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the answer is no JSON"),
        ("{", "the answer is no JSON"),
        ('{"x": NaN}', "NaN is no JSON number"),
        ('{"x": "much"}', "x: Input should be a valid integer"),
        ("{}", "x: Field required"),
        ('{"x": 1, "y": "\\ud800"}', "lone surrogate"),
        ("[" * 600 + "]" * 600, "levels deep"),
    ],
)
def test_what_does_not_fit_says_why(text: str, problem: str) -> None:
    with pytest.raises(AnswerError) as raised:
        answer_type(Point, "it").parse(text)

    (found,) = raised.value.problems
    assert problem in found


def test_a_class_may_name_what_its_function_knows() -> None:
    class Leaf(BaseModel):
        colour: str

    class Twig(BaseModel):
        leaves: list[Leaf]

    agent = Agent("local", model="openai/gpt-4o", output_type=Twig)
    other = dataclasses.replace(agent, model="openai/gpt-5")

    assert other.answer_type is not None
    assert other.answer_type.read({"leaves": [{"colour": "red"}]}) == Twig(leaves=[Leaf(colour="red")])


def test_a_union_keeps_its_order() -> None:
    one, other = answer_type(int | Point, "it"), answer_type(Point | int, "it")

    assert one.schema["properties"]["response"]["anyOf"] == other.schema["properties"]["response"]["anyOf"][::-1]


# ---- plans of turns ------------------------------------------------------------------------------------

OUTPUT = Output(answer_type(Point, "it"), (), retries=2)
PRICE = {"id": "1", "name": "price", "args": {"what": "tea"}, "task": "a.price"}


def final(number: str, **args: object) -> dict[str, Any]:
    return {"id": number, "name": "final_result", "args": args, "task": None}


def plan(text: str = "", *calls: dict[str, Any], finish: str = "stop", mode: str = "done") -> dict[str, Any]:
    return {"mode": mode, "step": 1, "text": text, "finish_reason": finish, "calls": list(calls)}


def test_a_turn_of_calls_stays_as_it_is() -> None:
    given = plan("text", PRICE, mode="one")

    assert typed_plan(given, OUTPUT, 0, last=False) == given


def test_an_early_answer_is_not_taken() -> None:
    found = typed_plan(plan("", PRICE, final("2", x=1), mode="many"), OUTPUT, 0, last=False)

    assert found["mode"] == "many"
    assert found["calls"][0] == PRICE
    assert "alone" in found["calls"][1]["error"]


@pytest.mark.parametrize(
    ("rejected", "last", "mode", "reason"),
    [
        (0, False, "again", "stop"),
        (1, False, "again", "stop"),
        (2, False, "invalid", "invalid_output"),
        (0, True, "invalid", "invalid_output"),
    ],
)
def test_how_often_it_is_sent_back(rejected: int, last: bool, mode: str, reason: str) -> None:
    found = typed_plan(plan("no"), OUTPUT, rejected, last)

    assert (found["mode"], found["finish_reason"]) == (mode, reason)
    assert (found["verdict"]["said"], found["verdict"]["again"]) == ("no", rejected + 1)


def test_the_last_turn_may_give_the_answer_by_the_tool() -> None:
    found = typed_plan(plan("", final("1", x=1), finish="max_turns"), OUTPUT, 0, last=True)

    assert (found["mode"], found["finish_reason"], found["calls"]) == ("done", "stop", [])
    assert found["verdict"] == {"mode": "done", "value": {"x": 1}}


def test_an_answer_that_was_cut_off_says_so() -> None:
    found = typed_plan(plan('{"x": ', finish="length"), OUTPUT, 0, last=False)

    assert found["verdict"]["problems"][0] == "the answer was cut off at its longest: say less"


# ---- declarations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_type": object()}, "has no JSON Schema"),
        ({"output_type": int, "output_retries": -1}, "output_retries"),
        ({"output_validators": [print]}, "output_validators go with an output_type"),
        ({"output_type": int, "output_validators": ["x"]}, "output_validators are functions"),
        (
            {"output_type": int, "tools": [dataclasses.replace(price, name="final_result")]},
            "named 'final_result'",
        ),
    ],
)
def test_bad_declarations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Agent("typed_bad", model="openai/gpt-4o", **options)


@pytest.mark.parametrize("place", ["worker", "server"])
@pytest.mark.parametrize("tools", [[], [price]], ids=["alone", "with tools"])
def test_an_agent_of_texts_compiles_to_the_same_bytes(place: Any, tools: list[Any]) -> None:
    plain = Agent("texts", model="openai/gpt-4o", tools=tools, model_place=place)
    text = dataclasses.replace(plain, output_type=str, output_retries=5)
    typed = dataclasses.replace(plain, output_type=int)

    assert compile_agent(plain).to_json() == compile_agent(text).to_json()
    assert "output" not in "".join(task["taskReferenceName"] for task in compile_agent(plain).workflows[0]["tasks"])
    assert compile_agent(typed).to_json() != compile_agent(plain).to_json()
