"""The type of an answer: its JSON Schema as models are told it, and its values from the JSON that they give."""

from __future__ import annotations

import hashlib
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from agentspan.schema._hints import lent_types
from agentspan.schema._json_schema import object_schema
from agentspan.schema.arguments import type_adapter, validated
from agentspan.schema.values import ResultError, to_jsonable

if TYPE_CHECKING:
    import pydantic

WRAPPED = "response"
"""What holds an answer that is no object: models answer objects."""

KEPT = 256
"""Types that are kept: an agent that is made anew with another value need not find the names of its type again."""

_known: dict[object, AnswerType] = {}

_PATH = re.compile(r"(?:[\w<>]+\.)+")

_FENCED = re.compile(r"\s*```\w*\n(.*?)\n?```\s*", re.DOTALL)


class AnswerError(ValueError):
    """An answer does not fit its type.

    Attributes:
        problems: Each thing that is wrong with it, in words for the model.
    """

    def __init__(self, problems: typing.Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = tuple(problems)


@dataclass(frozen=True, eq=False)
class AnswerType:
    """A type that answers have.

    Attributes:
        name: What it is called.
        description: What its class says of itself; empty where it says nothing.
        schema: Its JSON Schema, of an object. Not to be changed.
        wrapped: Whether the answer is a field of that object, as the type is none itself.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    wrapped: bool
    adapter: pydantic.TypeAdapter[Any] = field(repr=False)

    @cached_property
    def plain(self) -> dict[str, Any]:
        """Its schema as it comes back from where it was stored."""
        found: dict[str, Any] = json.loads(json.dumps(self.schema))
        return found

    @property
    def fingerprint(self) -> str:
        """The same for types of the same schema."""
        return hashlib.sha256(json.dumps(self.schema, sort_keys=True).encode()).hexdigest()[:16]

    def parse(self, text: str) -> Any:
        """The JSON in a model's answer.

        Raises:
            AnswerError: There is none, or none that can be stored.
        """
        fenced = _FENCED.fullmatch(text)
        try:
            found = json.loads(fenced[1] if fenced else text, parse_constant=_refused)
        except ValueError as error:
            raise AnswerError([f"the answer is no JSON: {error}"]) from error
        return self.checked(found)

    def checked(self, found: Any) -> Any:
        """The value that is stored for what a model gave.

        Raises:
            AnswerError: It does not fit.
        """
        value = found[WRAPPED] if self.wrapped and isinstance(found, dict) and list(found) == [WRAPPED] else found
        try:
            value = to_jsonable(value)
        except ResultError as error:
            raise AnswerError([str(error).replace("the result", "the answer", 1)]) from error
        self.read(value)
        return value

    def read(self, value: Any) -> Any:
        """The typed value of a stored one.

        Raises:
            AnswerError: It does not fit.
        """
        found, problems = validated(self.adapter, "", value)
        if problems:
            raise AnswerError([problem.removeprefix(".").removeprefix(": ") for problem in problems])
        return found


def answer_type(hint: object, what: str) -> AnswerType:
    """Describe a type.

    Args:
        hint: Whatever pydantic takes for a type.
        what: What to call it in messages.

    Raises:
        DefinitionError: It has no JSON Schema.
    """
    key = _key(hint)
    if key is None or key not in _known:
        found = _described(type_adapter(hint, lent_types(), what), _name(hint))
        if key is None:
            return found
        if len(_known) >= KEPT:
            _known.clear()
        _known[key] = found
    return _known[key]


def _key(hint: object) -> object:
    """None where it has no hash. Unions of another order are equal, and have other schemas."""
    try:
        hash(hint)
    except TypeError:  # of Annotated, with a value that has none
        return None
    return hint, repr(hint)


def _described(adapter: pydantic.TypeAdapter[Any], name: str) -> AnswerType:
    whole = object_schema({WRAPPED: adapter}, {}, {})
    node = whole["properties"][WRAPPED]
    is_object = node.get("type") == "object" and bool(node.get("properties"))
    schema = {**node, **({"$defs": whole["$defs"]} if "$defs" in whole else {})} if is_object else whole
    schema = dict(schema)
    description = schema.pop("description", "") if is_object else ""
    return AnswerType(name, description, schema, not is_object, adapter)


def _name(hint: object) -> str:
    name = hint.__name__ if isinstance(hint, type) and not typing.get_origin(hint) else _PATH.sub("", str(hint))
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name)[:64].strip("_") or "answer"


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
