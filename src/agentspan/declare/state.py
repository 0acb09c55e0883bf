"""The state that the calls of a run share: its type, and what one call sees of it and changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentspan.errors import DefinitionError, InputError, ToolFailed
from agentspan.schema.output import AnswerError, AnswerType, answer_type
from agentspan.schema.values import ResultError, to_jsonable
from agentspan.stored.state import added_to

Json = dict[str, Any]

MAX_STATE = 250_000
"""Bytes of a run's state: each turn and each call stores it."""


@dataclass(frozen=True)
class Lent:
    """The `state_type` of an agent whose runs work with the state of the run that calls them.

    Attributes:
        type: The type.
    """

    type: Any


@dataclass(frozen=True)
class StateType:
    """The type of a run's state: a class with fields.

    Attributes:
        fields: Their names.
        lent: Whether it is the state of the run that calls.
    """

    type: AnswerType
    fields: tuple[str, ...]
    lent: bool = False

    @classmethod
    def of(cls, hint: Any, what: str) -> StateType | None:
        """Describe a type; None of None.

        Raises:
            DefinitionError: It has no JSON Schema, or no fields.
        """
        if hint is None:
            return None
        if isinstance(hint, Lent):
            own = cls.of(hint.type, what)
            return None if own is None else replace(own, lent=True)
        found = answer_type(hint, f"{what}: state_type")
        if found.wrapped:
            raise DefinitionError(
                f"{what}: state_type is a class with fields, not {hint!r}",
                hint="A pydantic model, a dataclass or a TypedDict.",
            )
        return cls(found, tuple(found.schema["properties"]))

    @property
    def fingerprint(self) -> str:
        """The same for types of the same schema."""
        return self.type.fingerprint

    def begun(self, context: Mapping[str, Any], what: str) -> Json:
        """The state that a run begins with: what its `context=` has of the fields, and defaults for the others.

        Raises:
            InputError: A field has neither, or another type.
        """
        given = {name: value for name, value in context.items() if name in self.fields}
        try:
            return self._plain(self.type.read(given))
        except AnswerError as error:
            problems = "; ".join(error.problems)
            raise InputError(
                f"{what}: the state of the run cannot begin: {problems}",
                hint="Give the fields a default, or their values in context={…}.",
            ) from error

    def read(self, stored: Json) -> Any:
        """The typed value of a stored state.

        Raises:
            AnswerError: It does not fit.
        """
        return self.type.read(stored)

    def checked(self, stored: Json) -> Json:
        """A changed state, as it is stored.

        Raises:
            AnswerError: It does not fit.
            ResultError: It cannot be stored.
        """
        return self._plain(self.read(stored))

    def _plain(self, value: Any) -> Json:
        try:
            found: Json = to_jsonable(value)
        except ResultError as error:
            raise ResultError(str(error).replace("the result", "the state", 1)) from error
        if len(json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MAX_STATE:
            raise ResultError(f"the state is longer than {MAX_STATE:,} bytes")
        return found


def seen(type_: StateType | None, stored: Json | None) -> Any:
    """The state as code of an agent sees it: of its type; None where it has none."""
    return None if type_ is None or stored is None else type_.read(stored)


class CallState:
    """What one call sees of its run's state, and what it changes.

    Args:
        type: The state's type.
        stored: The state that its turn begins with.
        agent: Whose call it is.
    """

    def __init__(self, type: StateType, stored: Json, agent: str) -> None:
        self._type = type
        self._stored = stored
        self._agent = agent
        self._set: Json = {}
        self._add: Json = {}

    @property
    def value(self) -> Any:
        """The state as the call sees it: a copy, with its own changes."""
        return self._type.read(self._stored)

    @property
    def changes(self) -> Json:
        """What is stored with the call's result."""
        return {name: values for name, values in (("set", self._set), ("add", self._add)) if values}

    def set(self, values: Mapping[str, Any]) -> None:
        """Give fields new values.

        Raises:
            ToolFailed: There is no such field, or a value does not fit.
        """
        self._stored = self._fitting({**self._stored, **self._given(values)})
        for name in values:
            self._set[name] = self._stored[name]
            self._add.pop(name, None)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add to what fields hold.

        Raises:
            ToolFailed: There is no such field, or a value cannot be added to it.
        """
        given = self._given(values)
        try:
            sums = {name: added_to(self._stored.get(name), value) for name, value in given.items()}
            more = {name: added_to({**self._add, **self._set}.get(name), value) for name, value in given.items()}
        except (TypeError, OverflowError) as error:
            raise self._refused(str(error)) from error
        self._stored = self._fitting({**self._stored, **sums})
        for name, value in more.items():
            (self._set if name in self._set else self._add)[name] = value

    def _given(self, values: Mapping[str, Any]) -> Json:
        unknown = [name for name in values if name not in self._type.fields]
        if unknown:
            raise self._refused(f"it has no field {unknown[0]!r}; its fields are {', '.join(self._type.fields)}")
        try:
            return {name: to_jsonable(value) for name, value in values.items()}
        except ResultError as error:
            raise self._refused(str(error)) from error

    def _fitting(self, stored: Json) -> Json:
        try:
            return self._type.checked(stored)
        except (AnswerError, ResultError) as error:
            raise self._refused(str(error)) from error

    def _refused(self, why: str) -> ToolFailed:
        return ToolFailed(f"The state of the agent {self._agent} was not changed: {why}")
