"""What a type hint means is the function's own affair, and no text that somebody typed is run for it."""

from __future__ import annotations
import __future__

import dataclasses
import functools
import json
import sys
import types
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel, Field
from typing_extensions import NamedTuple, TypedDict

from agentspan.agents import Agent, ToolContext, tool
from agentspan.errors import DefinitionError
from agentspan.schema.arguments import ArgumentError

if TYPE_CHECKING:
    from fractions import Fraction

AS_TEXT = __future__.annotations.compiler_flag
RAN: list[str] = []
EVIL = "RAN.append('ran')"


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()
    yield
    assert RAN == []


class User(BaseModel):
    name: str


class Other(BaseModel):
    number: int


def forecast(day: date) -> str:
    return f"{day:%A}"


def greet(user: User) -> str:
    return user.name


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    return dict(tool(function, name="t").parameters["properties"])


def validated(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    return tool(function, name="t").arguments.validate(arguments)


def refused(function: Callable[..., Any]) -> DefinitionError:
    with pytest.raises(DefinitionError, match="tool 't'") as caught:
        tool(function, name="t")
    assert caught.value.hint
    return caught.value


def module(source: str, *, flags: int = AS_TEXT, **names: Any) -> types.ModuleType:
    """A module of this text; `flags` says whether its hints stay text."""
    made = types.ModuleType("written")
    made.__dict__.update(names)
    sys.modules["written"] = made
    exec(compile(source, "written.py", "exec", flags, dont_inherit=True), made.__dict__)
    return made


# --- the caller's variables


def test_a_callers_text_with_the_name_of_a_hint_is_not_run():
    def handler(date: str) -> Agent:
        return Agent("weather", model="openai/gpt-4o", tools=[forecast])

    agent = handler(EVIL)

    assert agent.tools[0].parameters["properties"]["day"] == {"type": "string", "format": "date"}


@pytest.mark.parametrize("value", [EVIL, {"type": "int"}, 5, [int], None])
def test_a_callers_variable_does_not_change_what_a_hint_means(value):
    date = value  # noqa: F841

    assert tool(forecast).parameters["properties"]["day"] == {"type": "string", "format": "date"}


def test_a_callers_type_does_not_change_what_a_hint_means():
    User = Other  # noqa: N806, F841

    assert list(tool(greet).parameters["properties"]["user"]["properties"]) == ["name"]


def test_a_callers_type_is_lent_for_a_name_that_is_found_nowhere_else():
    class Lent(BaseModel):
        n: int

    written = module("def f(it: Lent, many: list[Lent]): ...")

    assert tool(written.f).arguments.validate({"it": {"n": 1}, "many": []}) == {"it": Lent(n=1), "many": []}


@pytest.mark.parametrize("value", [EVIL, {"type": "int"}, 5])
def test_a_callers_variable_is_lent_only_if_it_is_a_type(value):
    Lent = value  # noqa: N806, F841
    written = module("def f(it: Lent): ...")

    with pytest.raises(DefinitionError, match="'Lent' is not defined"):
        tool(written.f)


def test_a_lazy_object_among_the_callers_variables_is_left_alone():
    class Lazy:
        @property
        def __class__(self):  # as a lazy object of a web framework makes itself
            raise RuntimeError("made")

    unrelated = Lazy()  # noqa: F841

    assert tool(forecast)


def test_a_builtin_is_no_callers_type():
    list = dict  # noqa: F841
    written = module("def f(it: list[int]): ...")

    assert tool(written.f).parameters["properties"]["it"] == {"type": "array", "items": {"type": "integer"}}


# --- texts in variables


@pytest.mark.parametrize("flags", [0, AS_TEXT])
@pytest.mark.parametrize("hint", ["day", "list[day]", "Optional[day]", "Annotated[day, 1]", "dict[str, list[day]]"])
@pytest.mark.parametrize("uses", ["", "day"])
def test_a_text_in_a_variable_around_the_function_is_not_run(flags, hint, uses):
    source = f"def make(day):\n    def f(x: {hint}): {uses or '...'}\n    return tool(f)"
    names = {"tool": tool, "RAN": RAN, "Optional": Optional, "Annotated": Annotated}
    written = module(source, flags=flags, **names)

    with pytest.raises(DefinitionError, match="cannot be resolved"):
        written.make(EVIL)


@pytest.mark.parametrize("flags", [0, AS_TEXT])
@pytest.mark.parametrize("hint", ["DAY", "list[DAY]", "Optional[DAY]", "settings.day", "list[settings.day]"])
def test_a_text_in_a_variable_of_the_module_is_not_run(flags, hint):
    settings = types.SimpleNamespace(day=EVIL)
    names = {"RAN": RAN, "Optional": Optional, "DAY": EVIL, "settings": settings}

    refused(module(f"def f(x: {hint}): ...", flags=flags, **names).f)


def test_a_text_in_a_variable_hides_no_type_of_the_module():
    def handler(date: str):
        def tell(day: date) -> str:
            return f"{day} {date}"

        return tool(tell)

    assert handler(EVIL).arguments.validate({"day": "2026-01-02"}) == {"day": date_(2026, 1, 2)}


date_ = date


def test_a_quoted_hint_runs_nothing():
    for quoted in ("f()", "[RAN.append(1)]", "Annotated[int, RAN.append(1)]", "(lambda: 1)", "f'{RAN.append(1)}'"):
        written = module(f"def f(x: {quoted!r}): ...", flags=0, RAN=RAN, Annotated=Annotated)
        assert "a quoted hint" in refused(written.f).message


# --- where names are looked for


def test_a_class_of_the_function_around_comes_before_the_modules():
    class User(BaseModel):
        age: int

    def inner(user: User) -> int:
        return user.age

    def build(function):  # the tool is made in another function
        return tool(function)

    assert build(inner).arguments.validate({"user": {"age": 3}}) == {"user": User(age=3)}


def test_values_around_the_function_may_stand_in_a_hint():
    def make(most: int, about: str):
        def f(rows: Annotated[int, Field(le=most, description=about)]): ...

        return properties(f)

    assert make(9, "How many.") == {"rows": {"type": "integer", "maximum": 9, "description": "How many."}}


def test_a_method_may_name_the_classes_of_its_class():
    class Api:
        class Query(BaseModel):
            words: list[str]

        def find(self, query: Query): ...

        @classmethod
        def search(cls, query: Query): ...

        @staticmethod
        def look(query: Query): ...

        def __call__(self, query: Query): ...

    class Deeper(Api): ...

    for function in (Api().find, Api.search, Api.look, Deeper().find, Api(), functools.partial(Api().find)):
        assert validated(function, query={"words": ["a"]}) == {"query": Api.Query(words=["a"])}


def test_a_method_named_like_a_type_does_not_hide_it():
    class Api:
        def list(self): ...

        def find(self, names: list[str]): ...

    assert properties(Api().find)["names"]["type"] == "array"


def test_a_class_defined_after_its_function_but_before_the_tool_is_found():
    written = module(
        "def f(x: Later, y: list['Later'], z: 'dict[str, Later]', n: Maybe): ...\n"
        "Maybe = Optional['Later']\n"
        "class Later(BaseModel):\n    n: int\n    more: list['Later'] = []",
        BaseModel=BaseModel,
        Optional=Optional,
    )

    later = written.Later(n=1)
    assert validated(written.f, x={"n": 1}, y=[{"n": 1}], z={"a": {"n": 1}}, n=None) == {
        "x": later,
        "y": [later],
        "z": {"a": later},
        "n": None,
    }


def test_a_class_defined_after_its_tool_is_refused_with_the_way_out():
    with pytest.raises(DefinitionError, match="'Later' is not defined") as caught:
        module("@tool\ndef f(x: Later): ...\nclass Later: ...", tool=tool)

    assert "before the tool" in (caught.value.hint or "")


def test_a_type_imported_for_type_checkers_only_is_refused_with_the_way_out():
    def f(x: Fraction): ...

    assert "TYPE_CHECKING" in (refused(f).hint or "")


def test_the_context_may_be_imported_for_type_checkers_only():
    written = module("def f(x: int, context: ToolContext, maybe: ToolContext | None = None): ...")

    assert tool(written.f).arguments.injected == ("context", "maybe")


def test_local_classes_may_name_each_other():
    @dataclasses.dataclass
    class Inner:
        n: int

    @dataclasses.dataclass
    class Outer:
        inner: Inner
        more: list[Inner]

    class Keyed(TypedDict):
        inner: Inner

    class Row(NamedTuple):
        inner: Inner

    class Model(BaseModel):
        inner: Inner

    def f(outer: Outer, keyed: Keyed, row: Row, model: Model): ...

    assert validated(
        f, outer={"inner": {"n": 1}, "more": []}, keyed={"inner": {"n": 1}}, row=[{"n": 1}], model={"inner": {"n": 1}}
    ) == {
        "outer": Outer(Inner(1), []),
        "keyed": {"inner": Inner(1)},
        "row": Row(Inner(1)),
        "model": Model(inner=Inner(1)),
    }


@pytest.mark.parametrize("name", ["name", "tool", "hint", "where", "local", "errors", "core"])
@pytest.mark.parametrize("kind", ["TypedDict", "NamedTuple", "BaseModel"])
def test_the_hints_of_a_class_mean_what_they_mean_in_its_module(kind, name):
    # BaseModel reads them now, and not when the class was made: the name comes after it.
    written = module(
        f"class It({kind}):\n    x: {name}\n{name} = int\ndef f(it: It): ...",
        TypedDict=TypedDict,
        NamedTuple=NamedTuple,
        BaseModel=BaseModel,
    )

    assert '"integer"' in json.dumps(properties(written.f))


# --- kinds of hints


def test_hints_of_every_kind_are_read_alike_as_text_and_as_objects():
    Id = NewType("Id", int)
    Bound = TypeVar("Bound", bound=int)
    source = "def f(a: int | None, b: Optional['User'], c: list[Id], d: Bound, e: Annotated['User', 1], g: 'User'): ..."
    names = {"Optional": Optional, "User": User, "Id": Id, "Bound": Bound, "Annotated": Annotated}

    texts, objects = (properties(module(source, flags=flags, **names).f) for flags in (AS_TEXT, 0))

    user = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    integer = {"type": "integer"}
    assert texts == objects
    assert texts["a"] == {"anyOf": [integer, {"type": "null"}]}
    assert (texts["c"], texts["d"]) == ({"type": "array", "items": integer}, integer)
    assert texts["b"] == {"anyOf": [user, {"type": "null"}]}
    assert texts["e"] == texts["g"] == user


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
@pytest.mark.parametrize("flags", [0, AS_TEXT])
def test_type_parameters_and_type_statements(flags):
    written = module(
        "type Names = list[str]\n"
        "type Tree = dict[str, Tree | int]\n"
        "type Context = ToolContext\n"
        "def f[T: int](a: T, b: list[T], names: Names, tree: Tree, context: Context): ...\n"
        "class Box[U: str]:\n    def put(self, it: U, more: list[U]): ...",
        flags=flags,
        ToolContext=ToolContext,
    )

    found = properties(written.f)
    assert (found["a"], found["names"]["items"]) == ({"type": "integer"}, {"type": "string"})
    assert tool(written.f).arguments.injected == ("context",)
    assert validated(written.f, a="1", b=[], names=[], tree={"a": {"b": 1}})["tree"] == {"a": {"b": 1}}
    assert properties(written.Box().put)["it"] == {"type": "string"}


def test_an_alias_that_never_ends_is_refused():
    written = module("Tree = dict[str, 'Tree']\ndef f(tree: Tree): ...")

    assert "refers to itself" in refused(written.f).message


@pytest.mark.parametrize("hint", ["{'type': 'int'}", "5", "[int]", "print", "1 / 0", "int["])
def test_what_is_no_type_is_refused(hint):
    def f(x): ...

    f.__annotations__ = {"x": hint}
    refused(f)


def test_a_dict_as_a_hint_is_refused():
    def f(x): ...

    f.__annotations__ = {"x": {"type": "int"}}

    assert "a dict is no type" in refused(f).message


def test_a_types_own_failure_is_told_with_the_parameter():
    class Odd:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise KeyError

    def f(x: Odd): ...

    assert "parameter 'x'" in refused(f).message
    with pytest.raises(ArgumentError, match="day"):
        validated(forecast, day="x")
