"""The JSON Schema of a tool's arguments, in the part of JSON Schema that all providers take."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan.schema.values import ResultError, to_jsonable

if TYPE_CHECKING:
    import pydantic


MAX_INLINED = 20_000
"""Characters that a schema may have with all its classes written out where they are used. In a longer
one, what is used more than once stands in `$defs`: classes in classes double with each level."""

# Gemini answers 400 to anything else beside a reference (as users report in 2026; not tried). Conductor
# 3.32.3 hands a schema on as it is.
_BESIDE = ("description", "default")


@functools.cache
def schema_generator() -> type[pydantic.json_schema.GenerateJsonSchema]:
    """The generator of pydantic, without a warning for a default that has no JSON form."""
    base: Any = import_module("pydantic.json_schema").GenerateJsonSchema

    class Generator(base):  # type: ignore[misc]
        ignored_warning_kinds = frozenset({"skipped-choice", "non-serializable-default"})

        def enum_schema(self, schema: Any) -> Any:
            _check_members(schema, schema["members"], "give it a text or a number for a value")
            return super().enum_schema(schema)

        def literal_schema(self, schema: Any) -> Any:
            _check_members(schema, schema["expected"], "write its value, or the Enum that it is of")
            return super().literal_schema(schema)

        def is_subclass_schema(self, schema: Any) -> Any:
            return self.handle_invalid_for_json_schema(schema, "a class")

    return Generator


def _check_members(schema: Any, members: Iterable[object], instead: str) -> None:
    """Refuse choices that a model could be shown, but never make."""
    core = import_module("pydantic_core")
    validator = core.SchemaValidator(schema)
    for member in members:
        try:
            validator.validate_json(core.to_json(member))
        except (core.ValidationError, core.PydanticSerializationError) as error:
            raise TypeError(f"no JSON stands for {member!r}: {instead}") from error


def object_schema(
    adapters: Mapping[str, pydantic.TypeAdapter[Any]],
    docs: Mapping[str, str],
    defaults: Mapping[str, object],
) -> dict[str, Any]:
    """The schema of an object with one property for each adapter.

    Args:
        adapters: The properties' types, in the order in which they are told.
        docs: Descriptions, for properties whose type does not bring one.
        defaults: Values of the properties that may be left out.
    """
    inputs: Any = [(name, "validation", adapter) for name, adapter in adapters.items()]
    types = import_module("pydantic").TypeAdapter
    by_key, shared = types.json_schemas(inputs, schema_generator=schema_generator())
    inliner = _Inliner(shared.get("$defs", {}), list(by_key.values()))
    properties = {}
    for name in adapters:
        node = dict(by_key[name, "validation"])
        if name in docs:
            node.setdefault("description", docs[name])
        properties[name] = inliner.tidy(node)
        if name in defaults:
            properties[name] = inliner.with_default(properties[name], defaults[name])
    required = [name for name in adapters if name not in defaults]
    schema = {"type": "object", "properties": properties, "required": required}
    return schema | ({"$defs": inliner.kept} if inliner.kept else {})


def inlined(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to written out where it is used.

    Args:
        node: The schema.
        defs: What it refers to as `#/$defs/…`.
    """
    inliner = _Inliner(defs, [node])
    tidied: dict[str, Any] = inliner.tidy(dict(node))
    return tidied | ({"$defs": inliner.kept} if inliner.kept else {})


class _Inliner:
    """Rewrites pydantic's schemas into the part of JSON Schema that all providers take."""

    def __init__(self, defs: Mapping[str, Any], nodes: list[Any]) -> None:
        self._defs = defs
        self._uses = {name: _references(node) for name, node in defs.items()}
        self.kept: dict[str, Any] = {}
        self._shared = {name for name in defs if self._is_recursive(name)}  # these cannot be inlined
        used = sum((_references(node) for node in nodes), Counter())
        known: dict[str, int] = {}
        if sum(self._length(name, known) * times for name, times in used.items()) > MAX_INLINED:
            used = sum(self._uses.values(), used)
            self._shared |= {name for name, times in used.items() if times > 1}

    def tidy(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.tidy(item) for item in node]
        if not isinstance(node, dict):
            return node
        tidied: dict[str, Any] = {}
        if "$ref" in node:
            tidied = self._reference(node)
        else:
            for key, value in node.items():
                tidied |= self._keyword(key, value)
        if tidied.get("default", ...) is None and not self.takes_null(tidied):
            del tidied["default"]  # a field may be left out, but null is refused
        return tidied

    def with_default(self, node: dict[str, Any], default: object) -> dict[str, Any]:
        """The schema of a parameter that may be left out."""
        try:
            shown = {"default": to_jsonable(default)}
        except ResultError:  # the function has a default all the same; the model need not know it
            return node
        if default is not None or self.takes_null(node):
            return node | shown
        # A parameter may be None by default whatever its hint says, and then a model may say so, too.
        beside = {"description": node.pop("description")} if "description" in node else {}
        options = node["anyOf"] if list(node) == ["anyOf"] else [node]
        return {"anyOf": [*options, {"type": "null"}], **beside, **shown}

    def takes_null(self, node: Mapping[str, Any]) -> bool:
        """Whether null fits the schema."""
        return any(
            option.get("type", "null") == "null" and None in option.get("enum", [None])
            for option in _alternatives(node, {"$defs": self._defs})
        )

    def _keyword(self, key: str, value: Any) -> dict[str, Any]:
        match key:
            case "title" | "discriminator":  # noise; OpenAPI only, with references into $defs
                return {}
            case "properties":
                return {key: {name: self.tidy(node) for name, node in value.items()}}
            case "default" | "enum" | "examples":
                return {key: value}
            case "const":
                return {"enum": [value]}
            case "oneOf":
                return {"anyOf": self.tidy(value)}
            case "prefixItems":  # OpenAI refuses an array without `items`
                members = self.tidy(value)
                return {"items": members[0] if all(m == members[0] for m in members) else {"anyOf": members}}
            case _:
                return {key: self.tidy(value)}

    def _reference(self, node: dict[str, Any]) -> dict[str, Any]:
        name = node["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in node.items() if key != "$ref"}
        if name not in self._shared:
            return {**self.tidy(self._defs[name]), **self.tidy(beside)}
        if name not in self.kept:
            self.kept[name] = {}  # taken, while its own schema is made
            self.kept[name] = self.tidy(self._defs[name])
        return {"$ref": node["$ref"]} | {key: value for key, value in self.tidy(beside).items() if key in _BESIDE}

    def _is_recursive(self, name: str) -> bool:
        seen: set[str] = set()
        waiting = set(self._uses[name])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting |= set(self._uses[other])
        return name in seen

    def _length(self, name: str, known: dict[str, int]) -> int:
        """Characters of a class with all its classes in it."""
        if name in self._shared:
            return 0
        if name not in known:
            inner = sum(self._length(other, known) * times for other, times in self._uses[name].items())
            known[name] = len(json.dumps(self._defs[name])) + inner
        return known[name]


def _references(node: Any) -> Counter[str]:
    """How often each class is used."""
    return Counter(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(node)))


def read_text(
    value: object, schema: Mapping[str, Any], root: Mapping[str, Any], mark: str, problems: list[str]
) -> object:
    """A value with its texts as the model gave them.

    Conductor parses every string argument, nested ones too, that looks like a JSON object or array, and keeps what it
    could read from its start (`LLMHelper.parseNestedJsonStrings`, 3.32.3). What was there before cannot be told from
    what arrives. So a structure where only a text may stand is a problem, and a text that begins with `mark`, which
    keeps it from being parsed, is that text without it.

    Args:
        value: What arrived.
        schema: What may stand here.
        root: Where `$ref` is looked up.
        mark: What the model was told to put before such a text.
        problems: Gets the problems found, in words for the model.
    """
    if isinstance(value, str):
        return value.removeprefix(mark)
    if not isinstance(value, (dict, list)):
        return value
    options = list(_alternatives(schema, root))
    kinds = {option.get("type") for option in options}
    container = "object" if isinstance(value, dict) else "array"
    if "string" in kinds and not kinds & {container, None}:
        problems.append(
            f"a text is due, and a JSON {container} arrived: texts that begin like JSON are changed on their way. "
            f"Send the text again with {mark} before it; that is taken off"
        )
        return value
    fitting = [option for option in options if option.get("type") == container]
    chosen = [option for option in fitting if _may_be(value, option)] if len(fitting) > 1 else fitting
    # With several shapes to choose from, nothing tells which one is meant.
    return _read_children(value, chosen[0] if len(chosen) == 1 else {}, root, mark, problems)


def _may_be(value: dict[str, Any] | list[Any], option: Mapping[str, Any]) -> bool:
    """Whether an object has what tells this shape from the others: the constants of its fields."""
    if not isinstance(value, dict):
        return True
    for name, field in option.get("properties", {}).items():
        constants = field.get("enum", [field["const"]] if "const" in field else None)
        if name in value and constants is not None and value[name] not in constants:
            return False
    return all(name in value for name in option.get("required", ()))


def _read_children(
    value: dict[str, Any] | list[Any],
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    mark: str,
    problems: list[str],
) -> object:
    if isinstance(value, list):
        return [read_text(item, schema.get("items", {}), root, mark, problems) for item in value]
    named, other = schema.get("properties", {}), schema.get("additionalProperties")
    free = other if isinstance(other, dict) else {}
    return {key: read_text(item, named.get(key, free), root, mark, problems) for key, item in value.items()}


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in schema:
        yield from _alternatives(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    elif "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _alternatives(option, root)
    else:
        yield schema
