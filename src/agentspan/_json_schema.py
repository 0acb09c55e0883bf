"""The JSON Schema of a tool's arguments, in the part of JSON Schema that all providers take."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan.values import ResultError, to_jsonable

if TYPE_CHECKING:
    import pydantic


@functools.cache
def schema_generator() -> type[pydantic.json_schema.GenerateJsonSchema]:
    """The generator of pydantic, without a warning for a default that has no JSON form."""
    base = import_module("pydantic.json_schema").GenerateJsonSchema
    ignored = {"skipped-choice", "non-serializable-default"}
    return type("QuietJsonSchema", (base,), {"ignored_warning_kinds": ignored})


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
    inliner = _Inliner(shared.get("$defs", {}))
    properties = {}
    for name in adapters:
        node = dict(by_key[name, "validation"])
        if name in docs:
            node.setdefault("description", docs[name])
        properties[name] = inliner.tidy(node) | _default(name, defaults)
    required = [name for name in adapters if name not in defaults]
    schema = {"type": "object", "properties": properties, "required": required}
    return schema | ({"$defs": inliner.kept} if inliner.kept else {})


def _default(name: str, defaults: Mapping[str, object]) -> dict[str, Any]:
    if name not in defaults:
        return {}
    try:
        return {"default": to_jsonable(defaults[name])}
    except ResultError:  # the function has a default all the same; the model need not know it
        return {}


class _Inliner:
    """Rewrites pydantic's schemas into the part of JSON Schema that all providers take."""

    def __init__(self, defs: Mapping[str, Any]) -> None:
        self._defs = defs
        self.kept: dict[str, Any] = {}  # recursive types cannot be inlined

    def tidy(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.tidy(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._reference(node)
        tidied: dict[str, Any] = {}
        for key, value in node.items():
            tidied |= self._keyword(key, value)
        return tidied

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
        if self._is_recursive(name):
            if name not in self.kept:
                self.kept[name] = {}  # taken, while its own schema is made
                self.kept[name] = self.tidy(self._defs[name])
            target: dict[str, Any] = {"$ref": node["$ref"]}
        else:
            target = self.tidy(self._defs[name])
        beside = {key: value for key, value in node.items() if key != "$ref"}
        target.update(self.tidy(beside))
        return target

    def _is_recursive(self, name: str) -> bool:
        seen: set[str] = set()
        waiting = self._references(name)
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting |= self._references(other)
        return name in seen

    def _references(self, name: str) -> set[str]:
        return set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(self._defs[name])))


def restore_text(value: object, schema: Mapping[str, Any], root: Mapping[str, Any]) -> object:
    """Give a text back its form.

    Conductor parses every string argument, nested ones too, that looks like a JSON object or
    array (`LLMHelper.parseNestedJsonStrings`). What the original had of
    spaces, repeated keys and JSON within the JSON is lost.
    """
    if not isinstance(value, (dict, list)):
        return value
    options = list(_alternatives(schema, root))
    kinds = {option.get("type") for option in options}
    container = "object" if isinstance(value, dict) else "array"
    if "string" in kinds and not kinds & {container, None}:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # With several shapes to choose from, nothing tells which one is meant.
    fitting = [option for option in options if option.get("type") == container]
    return _restore_children(value, fitting[0], root) if len(fitting) == 1 else value


def _restore_children(value: dict[str, Any] | list[Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> object:
    if isinstance(value, list):
        return [restore_text(item, schema.get("items", {}), root) for item in value]
    named, other = schema.get("properties", {}), schema.get("additionalProperties")
    free = other if isinstance(other, dict) else {}
    return {key: restore_text(item, named.get(key, free), root) for key, item in value.items()}


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in schema:
        yield from _alternatives(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    elif "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _alternatives(option, root)
    else:
        yield schema
