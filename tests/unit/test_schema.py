from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import pathlib
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from agentspan.errors import DefinitionError, InputError
from agentspan.schema._json_schema import MAX_INLINED
from agentspan.schema.arguments import (
    MAX_BYTES,
    MAX_DEPTH,
    ArgumentError,
    Arguments,
    ResultError,
    check_text,
    describe,
    description,
    is_async,
    to_jsonable,
)


class Injected: ...


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Address(BaseModel):
    street: str
    title: str = "home"  # a property that has the name of a keyword


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime.date
    color: Color


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Options(TypedDict, total=False):
    deep: bool


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


def of(function: Callable[..., object]) -> Arguments:
    return describe(function, tool="t", inject=Injected)


def properties(function: Callable[..., object]) -> dict[str, Any]:
    return dict(of(function).schema["properties"])


def refused(function: Callable[..., object]) -> str:
    with pytest.raises(DefinitionError) as caught:
        of(function)
    assert caught.value.hint
    assert "'t'" in caught.value.message
    return caught.value.message


# --- schema


def test_a_schema_keeps_the_order_of_the_signature_and_says_what_is_required():
    def f(zebra: str, apple: int = 3, mango: float = 0.5, ok: bool = True): ...

    assert json.dumps(of(f).schema) == json.dumps(
        {
            "type": "object",
            "properties": {
                "zebra": {"type": "string"},
                "apple": {"type": "integer", "default": 3},
                "mango": {"type": "number", "default": 0.5},
                "ok": {"type": "boolean", "default": True},
            },
            "required": ["zebra"],
        }
    )


def test_no_parameters():
    def f(): ...

    assert of(f).schema == {"type": "object", "properties": {}, "required": []}
    assert of(f).validate({}) == {}


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (list, {"type": "array", "items": {}}),
        (dict, {"type": "object", "additionalProperties": True}),
        (Any, {}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Literal["a"], {"enum": ["a"], "type": "string"}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (Color, {"enum": ["red", "blue"], "type": "string"}),
        (Annotated[int, Field(ge=1, description="d")], {"description": "d", "minimum": 1, "type": "integer"}),
        (datetime.datetime, {"format": "date-time", "type": "string"}),
        (pathlib.Path, {"format": "path", "type": "string"}),
        (tuple[int, int], {"items": {"type": "integer"}, "maxItems": 2, "minItems": 2, "type": "array"}),
        (
            tuple[int, str],
            {"items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "maxItems": 2, "minItems": 2}
            | {"type": "array"},
        ),
        (Options, {"properties": {"deep": {"type": "boolean"}}, "type": "object"}),
    ],
)
def test_types(hint, expected):
    def f(it): ...

    f.__annotations__ = {"it": hint}
    assert properties(f)["it"] == expected


def test_classes_are_inlined_without_titles():
    def f(points: list[Point], address: Address): ...

    point = {
        "properties": {"x": {"type": "integer"}, "y": {"default": 0, "type": "integer"}},
        "required": ["x"],
        "type": "object",
    }
    address = {
        "properties": {"street": {"type": "string"}, "title": {"default": "home", "type": "string"}},
        "required": ["street"],
        "type": "object",
    }
    assert properties(f) == {"points": {"items": point, "type": "array"}, "address": address}


def test_a_recursive_class_stays_a_reference():
    def f(tree: Node): ...

    schema = of(f).schema
    assert schema["properties"]["tree"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    tree = of(f).validate({"tree": {"value": 1, "children": [{"value": 2}]}})["tree"]
    assert tree == Node(value=1, children=[Node(value=2)])


def doubled(levels: int) -> type[BaseModel]:
    """A class that holds two of a class that holds two of a class …"""
    made = pydantic.create_model("Level0", text=(str, ...))
    for level in range(1, levels):
        made = pydantic.create_model(f"Level{level}", left=(made, ...), right=(list[made], ...))  # type: ignore[valid-type]
    return made


@pytest.mark.parametrize("levels", [10, 15, 25, 60])
def test_classes_in_classes_do_not_grow_a_schema_without_bound(levels):
    def f(it): ...

    f.__annotations__ = {"it": doubled(levels)}
    schema = of(f).schema

    assert len(json.dumps(schema)) < 300 * levels
    assert schema["properties"]["it"]["properties"]["left"] == {"$ref": f"#/$defs/Level{levels - 2}"}
    assert f"Level{levels - 1}" not in schema["$defs"], "what is used once is written where it is used"
    for name, node in schema["$defs"].items():
        for ref in re.findall(r'"#/\$defs/(\w+)"', json.dumps(node)):
            assert int(ref.removeprefix("Level")) == int(name.removeprefix("Level")) - 1


def test_classes_are_written_out_up_to_a_length():
    def f(it): ...

    f.__annotations__ = {"it": doubled(6)}

    assert "$ref" not in json.dumps(of(f).schema)
    assert len(json.dumps(of(f).schema)) < MAX_INLINED


def test_references_are_followed_when_arguments_are_read():
    def f(it): ...

    f.__annotations__ = {"it": doubled(12)}
    value: dict[str, Any] = {"text": 'text:{"a":1}'}
    for _ in range(11):
        value = {"left": value, "right": []}

    found = of(f).validate({"it": value})["it"]
    for _ in range(11):
        found = found.left
    assert found.text == '{"a":1}'


def test_beside_a_reference_stands_what_every_provider_takes():
    class Tree(BaseModel):
        left: Optional["Tree"] = None  # noqa: UP037, UP045
        right: Annotated["Tree | None", Field(description="d", examples=[1], deprecated=True)] = None  # noqa: UP037

    class Two(BaseModel):
        one: Tree = Field(description="d", examples=[{}], deprecated=True)

    def f(two: Two): ...

    assert properties(f)["two"]["properties"]["one"] == {"$ref": "#/$defs/Tree", "description": "d"}


def test_a_tagged_union_has_no_references_left():
    def f(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...

    pet = properties(f)["pet"]
    assert [option["properties"]["kind"] for option in pet["anyOf"]] == [
        {"enum": ["cat"], "type": "string"},
        {"enum": ["dog"], "type": "string"},
    ]
    assert set(pet) == {"anyOf"}
    assert of(f).validate({"pet": {"kind": "dog", "name": "Rex"}}) == {"pet": Dog(kind="dog", name="Rex")}


def test_a_default_without_json_is_not_published():
    marker = object()

    def f(when: Any = marker, color: Color = Color.RED, limit: float = float("inf")): ...

    assert properties(f) == {
        "when": {},
        "color": {"enum": ["red", "blue"], "type": "string", "default": "red"},
        "limit": {"type": "number"},
    }
    assert of(f).schema["required"] == []


def test_none_as_a_default_is_shown_and_taken_whatever_the_hint_says():
    def f(
        text: str = None,  # noqa: RUF013
        number: Annotated[int, Field(ge=1, description="How many.")] = None,  # noqa: RUF013
        node: Node = None,
        either: Annotated[int | str, Field(description="Which.")] = None,  # noqa: RUF013
        maybe: int | None = None,
        choice: Literal["a", None] = None,
        free: Any = None,
    ): ...

    null = {"type": "null"}
    assert properties(f) == {
        "text": {"anyOf": [{"type": "string"}, null], "default": None},
        "number": {"anyOf": [{"minimum": 1, "type": "integer"}, null], "description": "How many.", "default": None},
        "node": {"anyOf": [{"$ref": "#/$defs/Node"}, null], "default": None},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}, null], "description": "Which.", "default": None},
        "maybe": {"anyOf": [{"type": "integer"}, null], "default": None},
        "choice": {"enum": ["a", None], "default": None},
        "free": {"default": None},
    }
    nothing = dict.fromkeys(properties(f))
    assert of(f).validate(nothing) == {"maybe": None, "choice": None, "free": None}
    with pytest.raises(ArgumentError, match="number: "):
        of(f).validate({"number": 0})


@pytest.mark.parametrize(("hint", "default"), [(int, "auto"), (Literal["a"], ""), (Annotated[int, Field(ge=1)], 0)])
def test_a_default_may_be_sent_as_it_was_shown(hint, default):
    def f(it=default): ...

    f.__annotations__ = {"it": hint}

    assert properties(f)["it"]["default"] == default
    assert of(f).validate({"it": default}) == {}
    with pytest.raises(ArgumentError, match="it: "):
        of(f).validate({"it": "another"})


def test_a_default_of_the_hints_type_arrives_as_that_type():
    def f(when: datetime.date = "2026-01-02", color: Color = Color.RED): ...

    assert of(f).validate({"when": "2026-01-02", "color": "red"}) == {
        "when": datetime.date(2026, 1, 2),
        "color": Color.RED,
    }


def test_a_field_that_refuses_null_does_not_show_it_as_its_default():
    class Model(BaseModel):
        text: str = None
        maybe: str | None = None

    @dataclasses.dataclass
    class Data:
        node: Node = None

    def f(model: Model, data: Data): ...

    assert properties(f)["model"]["properties"] == {
        "text": {"type": "string"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    }
    assert properties(f)["data"]["properties"] == {"node": {"$ref": "#/$defs/Node"}}


class Pair(enum.Enum):
    A = (1, 2)


class Day(enum.Enum):
    FIRST = datetime.date(2026, 1, 1)


class Thing(enum.Enum):
    A = object()


class Found(enum.Enum):
    A = (1, 2)

    @classmethod
    def _missing_(cls, value):
        return cls.A if value == [1, 2] else None


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "hint", [Pair, Day, Thing, list[Pair], dict[str, Day], Literal[Color.RED], Literal["a", Pair.A]]
)
def test_choices_that_no_json_stands_for_are_refused(hint):
    @dataclasses.dataclass
    class Data:
        it: Any
        __annotations__ = {"it": hint}

    def f(it): ...

    for where in (hint, Data):
        f.__annotations__ = {"it": where}
        assert "no JSON stands for <" in refused(f)


def test_choices_that_json_stands_for_are_taken():
    def f(a: Found, b: Number, c: Literal[Number.ONE, "x"], d: Literal["a", 1, True, None]): ...

    assert of(f).validate({"a": [1, 2], "b": 1, "c": 1, "d": None}) == {
        "a": Found.A,
        "b": Number.ONE,
        "c": Number.ONE,
        "d": None,
    }


def test_any_parameter_name_pydantic_would_dislike_works():
    def f(_private: int, model_config: int, json: int, schema: int, copy: int, self_: int): ...

    given = {"_private": 1, "model_config": 2, "json": 3, "schema": 4, "copy": 5, "self_": 6}
    assert of(f).validate(given) == given


def test_injected_parameters_are_not_published():
    def f(
        query: str,
        whatever: Injected,
        other: Injected | None = None,
        noted: Annotated[Injected, "a note"] = None,
        both: Annotated[Optional[Injected], 1] = None,  # noqa: UP045
        inside: Optional[Annotated["Injected", 1]] = None,  # noqa: UP037, UP045
    ): ...

    assert list(properties(f)) == ["query"]
    assert of(f).injected == ("whatever", "other", "noted", "both", "inside")
    assert of(f).schema["required"] == ["query"]


def test_hints_may_be_local_to_the_caller_or_a_closure():
    class Local(BaseModel):
        n: int

    def enclosing(kind: type):
        def f(it: Local, that: kind):  # type: ignore[valid-type]
            return kind

        return f

    arguments = describe(enclosing(Point), tool="t", inject=Injected)
    assert arguments.validate({"it": {"n": 1}, "that": {"x": 2}}) == {
        "it": Local(n=1),
        "that": Point(2),
    }


def test_a_function_that_calls_itself_can_be_described_while_it_is_defined():
    @of
    def f(n: int):
        return f

    assert list(f.schema["properties"]) == ["n"]


def test_partials_methods_decorators_and_callables():
    class Api:
        def find(self, query: str): ...

        def __call__(self, query: str): ...

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @decorate
    def wrapped(query: str): ...

    def two(query: str, limit: int): ...

    for function in (Api().find, Api(), wrapped):
        assert list(properties(function)) == ["query"]
    assert of(functools.partial(two, limit=3)).schema["required"] == ["query"]


def test_what_a_partial_gives_is_not_the_models_to_see():
    class Client: ...

    def find(client: Client, query: str, key: str = "none", *, limit: int = 5): ...

    def traced(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    bound = functools.partial(find, Client(), key="secret")
    named = functools.partial(find, client=Client(), key="secret")
    dressed = functools.update_wrapper(functools.partial(find, Client(), key="secret"), find)
    for function in (
        bound,
        named,
        dressed,
        traced(bound),
        functools.partial(dressed),
        functools.partial(traced(named)),
    ):
        arguments = of(function)
        assert list(arguments.schema["properties"]) == ["query", "limit"]
        assert "secret" not in json.dumps(arguments.schema)
        with pytest.raises(ArgumentError, match="key: unknown"):
            arguments.validate({"query": "q", "key": "mine"})


def test_is_async():
    async def a(): ...

    def b(): ...

    class C:
        async def __call__(self): ...

    assert is_async(a)
    assert is_async(C())
    assert is_async(functools.partial(a))
    assert is_async(functools.partial(C()))
    assert not is_async(b)
    assert not is_async(functools.partial(b))


# --- refusals


def test_what_cannot_be_described_is_refused_by_name():
    def bare(self, query: str): ...

    def many(*queries: str): ...

    def free(**options: str): ...

    def positional(query: str, /): ...

    def unknown(query: Nowhere): ...  # type: ignore[name-defined] # noqa: F821

    def call(query: Callable[[], int]): ...

    def stream(query: Iterator[int]): ...

    def kind(query: type[int]): ...

    def function(query: of): ...  # type: ignore[valid-type]

    assert "parameter 'self' is the object of a method" in refused(bare)
    assert "*queries" in refused(many)
    assert "**options" in refused(free)
    assert "positional-only" in refused(positional)
    assert "'Nowhere'" in refused(unknown)
    assert "'query': collections.abc.Callable[[], int] has no JSON Schema" in refused(call)
    assert "no JSON Schema" in refused(stream)
    assert "no JSON Schema" in refused(kind)
    assert "a function is no type" in refused(function)


def test_a_parameter_without_a_hint_takes_any_json_with_one_warning():
    def bare(query, days=1): ...

    with pytest.warns(UserWarning, match="has no type hint") as caught:
        arguments = of(bare)
    assert [str(each.message).partition(" has")[0] for each in caught] == [
        "tool 't', parameter 'query'",
        "tool 't', parameter 'days'",
    ]
    assert arguments.schema["properties"] == {"query": {}, "days": {"default": 1}}
    assert arguments.schema["required"] == ["query"]
    for value in ("text", 1, 2.5, None, True, [1, {"a": []}], {"a": {"b": None}}):
        assert arguments.validate({"query": value}) == {"query": value}
    with pytest.raises(ArgumentError, match="query: missing"):
        arguments.validate({})


def test_a_parameter_named_context_is_filled_by_the_worker():
    def named(query: str, context=None): ...

    def optional(query: str, context: Optional[Injected] = None): ...  # noqa: UP045

    def other(query: str, context: str): ...

    assert of(named).injected == of(optional).injected == ("context",)
    assert list(of(named).schema["properties"]) == ["query"]
    assert of(other).injected == ()


def test_parameters_that_would_not_arrive_are_refused():
    def method(method: str): ...

    def field(query: str = Field("x")): ...

    def annotated(query: Annotated[str, Field(default="x")]): ...

    def made(queries: Annotated[list[str], Field(default_factory=list)]): ...

    def accent(größe: int): ...

    assert "overwrites" in refused(method)
    assert "Field(...)" in refused(field)
    assert "Field(...)" in refused(annotated)
    assert "Field(...)" in refused(made)
    assert "'größe'" in refused(accent)


def test_generators_and_unreadable_builtins_are_refused():
    def rows(query: str):
        yield query

    assert "generator" in refused(rows)
    assert "cannot tell" in refused(dict)


def test_a_method_without_its_object_gets_a_hint():
    def f(self, query: str): ...

    with pytest.raises(DefinitionError, match="'self'") as caught:
        of(f)
    assert "bound" in (caught.value.hint or "")


# --- docstrings


def google(city: str, days: int = 1):
    """Weather forecast.

    More about it.

    Args:
        city: Where, as
            a name.
        days (int): How many.

    Returns:
        A list.
    """


def numpy(city: str, days: int = 1):
    """Weather forecast.

    More about it.

    Parameters
    ----------
    city : str
        Where, as
        a name.
    days : int
        How many.

    Returns
    -------
    list
        A list.
    """


def sphinx(city: str, days: int = 1):
    """Weather forecast.

    More about it.

    :param city: Where, as
        a name.
    :param int days: How many.
    :returns: A list.
    """


@pytest.mark.parametrize(
    ("function", "rest"),
    [
        (google, "Returns:\n    A list."),
        (numpy, "Returns\n-------\nlist\n    A list."),
        (sphinx, ":returns: A list."),
    ],
)
def test_docstrings(function, rest):
    assert description(function) == f"Weather forecast.\n\nMore about it.\n\n{rest}"
    assert {name: p["description"].split() for name, p in properties(function).items()} == {
        "city": ["Where,", "as", "a", "name."],
        "days": ["How", "many."],
    }


def test_a_numpy_section_at_the_end():
    def f(city: str):
        """Forecast.

        Parameters
        ----------
        city : str
            Where."""

    assert description(f) == "Forecast."


def test_the_hint_describes_better_than_the_docstring():
    def f(a: Annotated[int, Field(description="hint")], b: Address):
        """Do.

        Args:
            a: doc
            b: doc
        """

    assert {name: p["description"] for name, p in properties(f).items()} == {"a": "hint", "b": "doc"}


class Bare:
    def __call__(self, a: int): ...


class Said(Bare):
    def __call__(self, a: int):
        """Do it."""


class Heir(Said):
    def __call__(self, a: int): ...


def test_pythons_own_words_are_no_description():
    assert [description(function) for function in (Bare(), Said(), Heir())] == ["", "Do it.", "Do it."]
    assert description(functools.partial(Bare())) == ""


def test_prose_is_left_alone():
    def f(a: int):
        """Takes Parameters: none of note.

        Args: it is said, are a word.
        """

    assert description(f) == "Takes Parameters: none of note.\n\nArgs: it is said, are a word."
    assert description(lambda: None) == ""


# --- validation


def test_arguments_become_python_values():
    def f(
        n: int,
        when: datetime.datetime,
        where: pathlib.Path,
        color: Color,
        strict: Strict,
        pair: tuple[int, str],
        tags: set[str],
        extra: float = 1.5,
    ): ...

    assert of(f).validate(
        {
            "n": "5",
            "when": "2026-01-02T03:04:05Z",
            "where": "/tmp",
            "color": "blue",
            "strict": {"when": "2026-01-02", "color": "red"},
            "pair": [1, "a"],
            "tags": ["a", "a"],
        }
    ) == {
        "n": 5,
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "where": pathlib.Path("/tmp"),
        "color": Color.BLUE,
        "strict": Strict(when=datetime.date(2026, 1, 2), color=Color.RED),
        "pair": (1, "a"),
        "tags": {"a"},
    }


def test_every_problem_is_told_and_shown_short():
    def f(limit: int, query: str, point: Point, color: Color = Color.RED): ...

    with pytest.raises(ArgumentError) as caught:
        of(f).validate({"limit": "x" * 500, "point": {}, "color": "green", "colour": 1})
    lines = str(caught.value).splitlines()
    assert lines[1] == "- colour: unknown; the tool takes limit, query, point, color"
    assert lines[2].startswith("- limit: Input should be a valid integer")
    assert lines[2].endswith("… (502 characters)")
    assert len(lines[2]) < 330
    assert lines[3:] == [
        "- query: missing",
        "- point.x: Field required",
        "- color: Input should be 'red' or 'blue'; got \"green\"",
    ]


def test_a_long_list_of_problems_is_cut():
    def f(numbers: list[int]): ...

    with pytest.raises(ArgumentError) as caught:
        of(f).validate({"numbers": ["x"] * 30})
    assert str(caught.value).splitlines()[-1] == "- and 20 more"


# What arrives is what Conductor made of a text that looked like JSON.
def test_a_structure_where_a_text_is_due_is_refused_with_the_way_out():
    def f(code: str, maybe: str | None, lines: list[str], named: dict[str, str], a: Address, n: Node): ...

    arguments = {
        "code": {"a": ["ü", 1.0]},
        "maybe": [1],
        "lines": ["x", {"b": 2}],
        "named": {"k": []},
        "a": {"street": {"c": 3}},
        "n": {"value": 1, "children": [{"value": 2}]},
    }
    with pytest.raises(ArgumentError) as caught:
        of(f).validate(arguments, "text-1:")
    told = "texts that begin like JSON are changed on their way. Send the text again with text-1: before it"
    for name, container in {"code": "object", "maybe": "array", "lines": "object", "named": "array"}.items():
        assert f"{name}: a text is due, and a JSON {container} arrived: {told}" in str(caught.value)
    assert "n: " not in str(caught.value)


def test_a_text_behind_the_mark_is_that_text():
    def f(code: str, lines: list[str], a: Address): ...

    given = {"code": "text-1:[1]", "lines": ["text-1:{}", "text-1", "text-1:text-1:x"], "a": {"street": "text-1:"}}
    assert of(f).validate(given, "text-1:") == {
        "code": "[1]",
        "lines": ["{}", "text-1", "text-1:x"],
        "a": Address(street=""),
    }


def test_structures_stay_where_they_are_allowed():
    def f(either: str | dict, anything: Any, address: Address | None): ...

    given = {"either": {"a": 1}, "anything": {"b": 2}, "address": {"street": "s"}}
    assert of(f).validate(given) == {**given, "address": Address(street="s")}


# --- results


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("text", "text"),
        ({2: "a", True: "c"}, {"2": "a", "true": "c"}),
        ((1, 2.5), [1, 2.5]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (b"text", "text"),
        (Point(1), {"x": 1, "y": 0}),
        ([Address(street="s")], [{"street": "s", "title": "home"}]),
        (Color.RED, "red"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("/a"), "/a"),
        ("\\u0000 as text", "\\u0000 as text"),
        (10**30, 10**30),
    ],
)
def test_results_as_json(value, expected):
    assert to_jsonable(value) == expected
    assert json.loads(json.dumps(expected)) == expected


@dataclasses.dataclass
class Holder:
    it: Any


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("a", "a"),
        (None, "None"),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"bytes", "bytes"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(hours=1), "PT1H"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("/a"), "/a"),
        (Color.RED, "red"),
        ((1, "b"), "1,b"),
    ],
)
def test_a_key_of_a_result_is_written_alike_wherever_it_stands(key, text):
    expected = {text: [{text: 1}]}
    value = {key: [{key: 1}]}

    assert to_jsonable(value) == expected
    assert to_jsonable((value, {"null": None})) == [expected, {"null": None}]
    assert to_jsonable(Holder(value)) == {"it": expected}


def test_keys_are_written_at_any_depth():
    value: Any = {None: 1}
    for _ in range((MAX_DEPTH - 1) // 2):
        value = {None: [value]}

    assert list(to_jsonable(value)) == ["None"]
    circle: dict[Any, Any] = {}
    circle[None] = circle
    with pytest.raises(ResultError):
        to_jsonable(circle)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


async def forgotten(): ...


class Measured(BaseModel):
    celsius: float


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "not JSON compliant"),
        ({"a": [Point(float("inf"))]}, "not JSON compliant"),  # type: ignore[arg-type]
        (Measured(celsius=float("inf")), "not JSON compliant"),
        ([{"a": Measured(celsius=float("nan"))}], "not JSON compliant"),
        ((n for n in range(3)), "holds a generator"),
        (iter([1]), "return a list"),
        ([object()], "holds a object"),
        (b"\xff", "base64"),
        ("a\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (["a\0"], "NUL"),
        ({1: "a", "1": "b"}, "same as text"),
        ({frozenset([1]): 3}, "a frozenset as a key"),
        ([{object(): 3}], "a object as a key"),
        ({b"\xff": 3}, "a bytes as a key"),
        ({datetime.date(2026, 1, 2): 1, "2026-01-02": 2}, "same as text"),
        (Holder({1: "a", "1": "b"}), "same as text"),
        (nested(MAX_DEPTH + 1), "levels deep"),
        (nested(5000), "levels deep"),
        ("x" * MAX_BYTES, "2,500,002 bytes"),
    ],
)
def test_results_that_would_not_arrive_intact_are_refused(value, words):
    with pytest.raises(ResultError, match=words):
        to_jsonable(value)


def test_circles_and_coroutines_are_refused():
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ResultError, match="Circular"):
        to_jsonable(circle)
    coroutine = forgotten()
    with pytest.raises(ResultError, match="a coroutine"):
        to_jsonable(coroutine)
    coroutine.close()
    with pathlib.Path(__file__).open() as file, pytest.raises(ResultError, match="a TextIOWrapper"):
        to_jsonable(file)


def test_the_deepest_and_largest_results_pass():
    assert to_jsonable(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    wide = [[]] * (MAX_DEPTH * 2)
    assert to_jsonable(wide) == wide
    assert len(to_jsonable("x" * (MAX_BYTES - 2))) == MAX_BYTES - 2


def test_check_text():
    assert check_text("ok ü 🙂 ${x}", "the prompt") == "ok ü 🙂 ${x}"
    for bad, words in [
        (1, "must be a str"),
        ("\0", "NUL"),
        ("\udfff", "surrogate"),
        ("é" * MAX_BYTES, "bytes"),
    ]:
        with pytest.raises(InputError, match=f"the prompt .*{words}"):
            check_text(bad, "the prompt")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_type_aliases_are_resolved():
    space: dict[str, Any] = {}
    exec("type Names = list[str]\ndef f(names: Names): ...", space)
    assert properties(space["f"]) == {"names": {"items": {"type": "string"}, "type": "array"}}


def test_declarations_load_without_pydantic():
    code = """if True:
        import sys, types, importlib.util
        package = types.ModuleType("agentspan")  # without what the package itself imports
        package.__path__ = importlib.util.find_spec("agentspan").submodule_search_locations
        sys.modules["agentspan"] = package
        import agentspan.declare.agent
        print(*{"pydantic", "docstring_parser"} & sys.modules.keys())"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
