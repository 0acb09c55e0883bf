"""JSON Schemas that come from elsewhere, as models are told them, and arguments on their way back."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.errors import DefinitionError
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.foreign import given_arguments, name_for_models


def told(schema: Any) -> Any:
    """What models are told of one parameter."""
    made = given_arguments({"properties": {"it": schema}, "definitions": {"N": {"type": "number"}}}, "t").schema
    return made["properties"]["it"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, {}),
        (
            {"type": "string", "title": "T", "$comment": "c", "x-y": 1, "format": "date"},
            {"type": "string", "format": "date"},
        ),
        ({"type": ["string"]}, {"type": "string"}),
        (
            {"type": ["string", "null"], "enum": ["a", None], "description": "d"},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}], "description": "d"},
        ),
        ({"type": "integer", "nullable": True}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ({"const": 1}, {"enum": [1]}),
        ({"oneOf": [{"const": 1}, {"type": "array"}]}, {"anyOf": [{"enum": [1]}, {"type": "array", "items": {}}]}),
        ({"type": "array", "items": [{"type": "string"}]}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 1}),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": False}, {"type": "number", "minimum": 1}),
        ({"$ref": "#/definitions/N", "description": "d"}, {"type": "number", "description": "d"}),
        ({"allOf": [{"$ref": "#/definitions/N"}], "description": "d"}, {"type": "number", "description": "d"}),
        (
            {"allOf": [{"properties": {"a": True}, "required": ["a"]}, {"properties": {"b": {"type": "null"}}}]},
            {"properties": {"a": {}, "b": {"type": "null"}}, "required": ["a"]},
        ),
        ({"type": "object", "additionalProperties": {"title": "T"}}, {"type": "object", "additionalProperties": {}}),
        (
            {"properties": {"title": {"type": "string"}, "$ref": {}}},
            {"properties": {"title": {"type": "string"}, "$ref": {}}},
        ),
    ],
)
def test_schemas_are_put_as_all_providers_take_them(schema: Any, expected: Any) -> None:
    assert told(schema) == expected


def test_what_refers_to_itself_stays_a_reference() -> None:
    made = given_arguments({"properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}, "t")

    assert made.schema["properties"]["kids"]["items"] == {"$ref": "#/$defs/_"}
    assert made.schema["$defs"]["_"]["properties"]["kids"]["items"] == {"$ref": "#/$defs/_"}
    assert made.validate({"kids": [{"kids": []}]}) == {"kids": [{"kids": []}]}


def test_alternatives_at_the_top_become_one() -> None:
    made = given_arguments(
        {
            "anyOf": [
                {"properties": {"id": {"type": "integer"}, "by": {}}, "required": ["id", "by"]},
                {"properties": {"name": {"type": "string"}, "by": {}}, "required": ["name", "by"]},
            ]
        },
        "t",
    )
    assert list(made.schema["properties"]) == ["id", "by", "name"]
    assert made.schema["required"] == ["by"]


def test_names_that_providers_refuse_are_mapped_and_mapped_back() -> None:
    names = ["method", "$top", "a b", "a_b", "x" * 70, "ok-1.2"]
    made = given_arguments({"properties": {each: {"type": "integer"} for each in names}, "required": ["$top"]}, "t")

    shown = list(made.schema["properties"])
    assert shown[:4] == ["method_", "_top", "a_b", f"a_b_{shown[3][-8:]}"]
    assert max(map(len, shown)) <= 64
    assert shown[5] == "ok-1.2"
    assert made.schema["required"] == ["_top"]
    assert made.validate(dict(zip(shown, range(6), strict=True))) == dict(zip(names, range(6), strict=True))


def test_what_would_not_be_noticed_there_is_checked_here() -> None:
    made = given_arguments(
        {
            "properties": {"a": {"type": "string"}, "n": {"type": ["string", "null"]}, "o": {"type": "integer"}},
            "required": ["a"],
        },
        "t",
    )

    assert made.validate({"a": "text:{}", "n": None, "o": None}) == {"a": "{}", "n": None}, "null is left out"
    with pytest.raises(ArgumentError, match=r"(?s)a: missing.*b: unknown; the tool takes a, n, o"):
        made.validate({"b": 1})
    with pytest.raises(ArgumentError, match="a: a text is due, and a JSON object arrived"):
        made.validate({"a": {"b": 1}})


@pytest.mark.parametrize(("schema", "free"), [({}, True), ({"properties": {"a": {}}}, False)])
def test_what_a_schema_does_not_name_is_let_through_where_it_names_nothing(schema: Any, free: bool) -> None:
    for extra, expected in ({}, free), ({"additionalProperties": True}, True), ({"additionalProperties": False}, False):
        assert given_arguments({**schema, **extra}, "t").free is expected


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "parameters are a JSON Schema, not"),
        ({"type": "string"}, "of an object, not of 'string'"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "'#/\\$defs/A' refers to nothing"),
        (
            {"properties": {"a": {"$ref": "other.json#/A"}}},
            "tool: the reference 'other.json#/A' is to another document",
        ),
        ({"properties": {"a": {"$ref": "#A"}}}, "'#A' is to a name, and not to a place"),
    ],
)
def test_what_is_no_such_schema_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        given_arguments(schema, "tool")


def test_names_of_tools() -> None:
    assert name_for_models("files.read") == "files_read"
    assert name_for_models("fine-1") == "fine-1"
    assert name_for_models("7up") == "_7up"
    assert name_for_models("") == "_"
    assert name_for_models("a.b", ["a_b"]) not in ("a_b", "a.b")
    assert len(name_for_models("x" * 100)) == 64
    assert name_for_models("x" * 100) != name_for_models("x" * 101)
