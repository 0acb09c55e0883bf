"""JSON Schemas that come from elsewhere, in the part of JSON Schema that all model providers take."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from agentspan.errors import DefinitionError
from agentspan.schema._json_schema import inlined, read_text
from agentspan.schema.arguments import Arguments, refused

Json = dict[str, Any]

_ONE = {"items", "not", "contains", "propertyNames"}
_SEVERAL = {"anyOf", "oneOf", "prefixItems"}
# fmt: off
_KEPT = {
    "type", "enum", "const", "default", "description", "required", "format", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
}
# fmt: on
"""Keywords whose values are no schemas. What is in none of these sets is left out: some providers refuse it."""

_BESIDE = ("description", "default")

_LONGEST_NAME = 64


@dataclass(frozen=True, eq=False)
class GivenArguments(Arguments):
    """The arguments of a tool that runs elsewhere, by the schema that it has there.

    Whoever runs it checks their types. Here is checked what would not be noticed there.

    Attributes:
        names: What the parameters are called there, where models could not be told that name.
        free: Whether parameters are let through that the schema does not name.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    free: bool = False

    def validate(self, arguments: Mapping[str, Any], mark: str = "text:") -> Json:
        """The arguments by the names that they have there."""
        told: Json = self.schema["properties"]
        required = self.schema["required"]
        known = ", ".join(told) or "no arguments"
        problems = [f"{name}: missing" for name in required if name not in arguments]
        values: Json = {}
        for name, value in arguments.items():
            if name not in told and not self.free:
                problems.append(f"{name}: unknown; the tool takes {known}")
            cut: list[str] = []
            read = read_text(value, told.get(name, {}), self.schema, mark, cut)
            problems += [f"{name}: {problem}" for problem in dict.fromkeys(cut)]
            if read is not None or name in required or name not in told or _takes_null(told[name], self.schema):
                values[self.names.get(name, name)] = read
        if problems:
            raise refused(problems)
        return values


def is_free(arguments: Arguments) -> bool:
    """Whether arguments are let through that their schema does not name."""
    return isinstance(arguments, GivenArguments) and arguments.free


def keywords(schema: object) -> Iterator[str]:
    """The keywords of a schema, and of those in it."""
    if not isinstance(schema, Mapping):
        return
    yield from schema
    inner = [schema.get(name) for name in (*_ONE, "additionalProperties")]
    inner += [each for name in _SEVERAL for each in schema.get(name, ())]
    inner += [each for name in ("properties", "$defs") for each in schema.get(name, {}).values()]
    for each in inner:
        yield from keywords(each)


def given_arguments(schema: object, what: str, document: object = None) -> GivenArguments:
    """The arguments of a tool that comes with a JSON Schema of them.

    Args:
        schema: The schema of an object. Any draft, and that of OpenAPI.
        what: What to call the tool in messages.
        document: Where its references point into; the schema itself unless given.

    Raises:
        DefinitionError: It is no schema of an object.
    """
    if not isinstance(schema, Mapping):
        raise DefinitionError(f"{what}: its parameters are a JSON Schema, not {schema!r}")
    reader = _Reader(schema if document is None else document)
    try:
        plain = _flat(reader, reader.plain(schema))
    except DefinitionError as error:
        raise DefinitionError(f"{what}: {error.message}", hint=error.hint) from None
    if plain.get("type", "object") != "object":
        raise DefinitionError(f"{what}: its parameters are a JSON Schema of an object, not of {plain['type']!r}")
    node = inlined({"properties": plain.get("properties", {})}, reader.defs)
    names = _names_for_models(node["properties"])
    back = {name: theirs for theirs, name in names.items() if name != theirs}
    described = {names[theirs]: told for theirs, told in node["properties"].items()}
    required = [names[theirs] for theirs in plain.get("required", ()) if theirs in names]
    made = {"type": "object", "properties": described, "required": list(dict.fromkeys(required))}
    made |= {"$defs": node["$defs"]} if "$defs" in node else {}
    other = plain.get("additionalProperties", not described)
    return GivenArguments(schema=made, injected=(), adapters={}, names=back, free=other is not False)


def fingerprint(*values: object) -> str:
    """What tells one set of JSON values from another."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def name_for_models(name: str, taken: Iterable[str] = ()) -> str:
    """A name that all providers take, for one that some refuse; the same as before where none does.

    Args:
        name: What it is called.
        taken: Names that it may not get.
    """
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name) or "_"
    if not re.match("[a-zA-Z_]", plain):
        plain = f"_{plain}"
    if len(plain) > _LONGEST_NAME or plain in taken:
        plain = f"{plain[: _LONGEST_NAME - 9]}_{fingerprint(name)[:8]}"
    return plain


def _names_for_models(properties: Iterable[str]) -> dict[str, str]:
    """What models are told each property is called."""
    names: dict[str, str] = {}
    for theirs in properties:
        # Conductor overwrites an argument named `method` with the tool's name.
        wanted = "method_" if theirs == "method" else theirs
        fits = re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", wanted) and wanted not in names.values()
        names[theirs] = wanted if fits else name_for_models(wanted, names.values())
    return names


def _takes_null(schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _takes_null(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return any(_takes_null(option, root) for option in schema["anyOf"])
    return schema.get("type", "null") == "null" and None in schema.get("enum", [None])


def _flat(reader: _Reader, schema: Json) -> Json:
    """A schema with its alternatives in one: providers take none at the top."""
    schema = reader.behind(schema)
    options = [_flat(reader, option) for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    options = [option for option in options if option.get("type") != "null"]
    if not options:
        return schema
    own = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
    always = set.intersection(*(set(option.get("required", ())) for option in options))
    merged = _merged([*options, own])
    merged["required"] = [name for name in merged.get("required", ()) if name in {*always, *own.get("required", ())}]
    return merged


def _merged(parts: list[Json]) -> Json:
    """What fits all of them, as near as one schema without `allOf` says it."""
    merged: Json = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = list(dict.fromkeys((*merged.get("required", ()), *part.get("required", ()))))
        merged |= part
        merged |= {"properties": properties} if properties else {}
        merged |= {"required": required} if required else {}
    return merged


class _Reader:
    """Rewrites schemas of a document; what they refer to is collected in `defs`."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self.defs: dict[str, Json] = {}

    def behind(self, node: Json) -> Json:
        """What a reference refers to; any other schema as it is."""
        for _ in range(len(self.defs) + 1):
            if "$ref" not in node:
                return node
            node = self.defs[node["$ref"].removeprefix("#/$defs/")]
        return {}  # references in a ring

    def plain(self, node: object) -> Json:
        if not isinstance(node, Mapping):
            return {}  # `true` fits everything
        if isinstance(node.get("$ref"), str):
            reference = {"$ref": f"#/$defs/{self._named(node['$ref'])}"}
            return _or_null(reference | {key: node[key] for key in _BESIDE if key in node}, node)
        plain: Json = {}
        for key, value in node.items():
            plain |= self._keyword(key, value)
        if isinstance(node.get("allOf"), list):
            plain = _merged([*(self.behind(self.plain(part)) for part in node["allOf"]), plain])
        _put_right(plain)
        return _or_null(plain, node)

    def _keyword(self, key: str, value: Any) -> Json:
        if key in _KEPT:
            return {key: value}
        if key == "items" and isinstance(value, list):  # of drafts before 2020
            return {"prefixItems": [self.plain(item) for item in value]} if value else {}
        if key in _ONE:
            return {key: self.plain(value)}
        if key in _SEVERAL and isinstance(value, list) and value:
            return {key: [self.plain(item) for item in value]}
        if key == "properties" and isinstance(value, Mapping):
            return {key: {str(name): self.plain(item) for name, item in value.items()}}
        if key == "additionalProperties":
            return {key: value if isinstance(value, bool) else self.plain(value)}
        return {}

    def _named(self, reference: str) -> str:
        if reference not in self._names:
            last = re.sub(r"[^a-zA-Z0-9_.-]", "_", reference.rpartition("/")[2]) or "_"
            taken = last in self._names.values()
            self._names[reference] = name = f"{last}_{fingerprint(reference)[:8]}" if taken else last
            self.defs[name] = {}  # taken, while its own schema is made
            self.defs[name] = self.plain(found_at(self._document, reference))
        return self._names[reference]


def found_at(document: object, reference: str) -> object:
    """What a reference such as `#/components/schemas/Pet` refers to.

    Raises:
        DefinitionError: There is nothing, or it is in another document.
    """
    found = document
    if not reference.startswith("#"):
        raise DefinitionError(f"the reference {reference!r} is to another document", hint="Bundle them into one.")
    if not re.match(r"#(/|$)", reference):
        raise DefinitionError(f"the reference {reference!r} is to a name, and not to a place", hint="Write '#/…'.")
    for step in reference.removeprefix("#").split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, ValueError):
            raise DefinitionError(f"the reference {reference!r} refers to nothing") from None
    return found


def _put_right(node: Json) -> None:
    """What one draft writes otherwise than the others, and what providers want to see."""
    for bound, key in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(key), bool) and node.pop(key) and bound in node:  # of OpenAPI 3.0
            node[key] = node.pop(bound)
    kinds = node.get("type")
    if isinstance(kinds, list):
        del node["type"]
        beside = {key: node.pop(key) for key in _BESIDE if key in node}
        options = [{"type": kind, **_values_for(kind, node)} for kind in kinds]
        node.clear()
        node |= (options[0] if len(options) == 1 else {"anyOf": options}) | beside
    for option in (node, *node.get("anyOf", ())):
        if option.get("type") == "array" and not option.keys() & {"items", "prefixItems"}:
            option["items"] = {}


def _values_for(kind: str, node: Json) -> Json:
    if kind == "null":
        return {}
    enum = {"enum": [value for value in node["enum"] if value is not None]} if "enum" in node else {}
    return {**node, **enum}


def _or_null(plain: Json, node: Mapping[str, Any]) -> Json:
    """With null among what fits, where OpenAPI 3.0 says so."""
    if node.get("nullable") is not True:
        return plain
    beside = {key: plain.pop(key) for key in _BESIDE if key in plain}
    return {"anyOf": [{**plain, **_values_for("", plain)}, {"type": "null"}], **beside}
