"""What a function's type hints mean, and where the names in them are looked for.

A hint may be text: under `from __future__ import annotations` all are, and others are quoted. Such a
text is read with the names that its function can see. Whoever makes the tool lends no more than
types, for names that are found nowhere else: its variables may hold what a user typed.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Names", "innermost", "lent_types", "names_of", "resolve"]

_TYPES = (type, types.GenericAlias, types.UnionType)
_TYPING = ("typing", "typing_extensions")

# What a quoted hint may consist of. Nothing here runs code of its own, whoever wrote the text.
_QUOTED = (
    *(ast.Expression, ast.Load, ast.Constant, ast.Name, ast.Attribute, ast.Subscript),
    *(ast.Tuple, ast.List, ast.BinOp, ast.BitOr, ast.UnaryOp, ast.USub),
)


@dataclass(frozen=True, eq=False)
class Names:
    """The names that a function's hints may use.

    Attributes:
        all: Every name with its meaning.
        local: Types among them that the function's module does not know.
        are_source: Whether the function's hints are the text of its source, and not strings that it was given.
    """

    all: dict[str, Any] = field(repr=False)
    local: Mapping[str, Any] = field(repr=False)
    are_source: bool


def innermost(function: Callable[..., object]) -> Callable[..., object]:
    """The plain function under partials, decorators, bound methods and callable objects."""
    under: Callable[..., object] = inspect.unwrap(function)
    if isinstance(under, functools.partial):
        under = under.func
    elif inspect.ismethod(under):
        under = under.__func__
    elif inspect.isfunction(type(under).__call__):
        under = type(under).__call__
    return function if under is function else innermost(under)


def names_of(function: Callable[..., object], known: type) -> Names:
    """What the names in a function's hints mean.

    Types that are local to the function come first, as they do where its source is read. Then comes
    its module, and last what is found nowhere else.

    Args:
        function: The function behind a tool.
        known: A type that may be named without being imported, or be imported for type checkers only.
    """
    inner = innermost(function)
    if not inspect.isfunction(inner):
        return Names({}, {}, are_source=False)
    lent = lent_types()
    lent.setdefault(known.__name__, known)
    scope = _scope(inner)
    found = {**lent, **scope, **inner.__globals__, **_types(scope)}
    own = _types(_class_scope(inner, found))
    source = bool(inner.__code__.co_flags & __future__.annotations.compiler_flag)
    return Names({**found, **own}, {**lent, **_types(scope), **own}, are_source=source)


def lent_types() -> dict[str, Any]:
    """Types among the variables of whoever called into agentspan."""
    return {name: value for name, value in _types(_caller_locals()).items() if not hasattr(builtins, name)}


def resolve(hint: object, names: Names) -> object:
    """The type that a hint stands for.

    Raises:
        Exception: Whatever reading the hint raises; for most that is NameError or TypeError.
    """
    return _Reading(names.all).resolve(hint, trusted=names.are_source)


# --- names ---------------------------------------------------------------------------------------


def _types(names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if _is_type(value)}


def _is_type(value: object) -> bool:
    # By its own class and not by isinstance: that asks the value, and a lazy object would be made by it.
    kind = type(value)
    return issubclass(kind, _TYPES) or kind.__module__ in _TYPING


def _scope(function: types.FunctionType) -> dict[str, Any]:
    """The variables around a function in its source, as far as they can be found, inner ones last."""
    found: dict[str, Any] = {}
    if "." in function.__qualname__:
        for frame in reversed(list(_frames())):
            if _encloses(frame.f_code, function.__code__) and frame.f_locals is not frame.f_globals:
                found |= dict(frame.f_locals)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet: a function that calls itself
            continue
    return found | _parameters(function)


def _class_scope(function: types.FunctionType, names: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the class that a method belongs to."""
    first, *rest = function.__qualname__.rpartition("<locals>.")[2].split(".")[:-1] or [""]
    found = names.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return {**_parameters(found), **vars(found)} if isinstance(found, type) else {}


def _parameters(generic: object) -> dict[str, Any]:
    """The type parameters in the brackets of a generic function or class, of Python 3.12."""
    return {parameter.__name__: parameter for parameter in getattr(generic, "__type_params__", ())}


def _caller_locals() -> Mapping[str, Any]:
    """The variables of whoever called into agentspan."""
    for frame in _frames():
        if not str(frame.f_globals.get("__name__")).startswith("agentspan."):
            return dict(frame.f_locals)
    return {}


def _frames() -> Iterator[types.FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _encloses(outer: types.CodeType, inner: types.CodeType) -> bool:
    nested = [constant for constant in outer.co_consts if isinstance(constant, types.CodeType)]
    return any(code is inner or _encloses(code, inner) for code in nested)


# --- hints ---------------------------------------------------------------------------------------


class _Reading:
    """The reading of one hint."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._open: list[str] = []

    def resolve(self, hint: object, *, trusted: bool = False) -> object:
        if isinstance(hint, typing.ForwardRef):
            hint = hint.__forward_arg__
        if isinstance(hint, str):
            return self._text(hint, trusted=trusted)
        if isinstance(hint, (dict, types.FunctionType)):  # pydantic has uses of its own for both
            raise TypeError(f"a {type(hint).__name__} is no type")
        if typing.get_origin(hint) is typing.Literal:
            return hint
        arguments = getattr(hint, "__args__", ()) if typing.get_origin(hint) else ()
        resolved = tuple(self.resolve(argument) for argument in arguments)
        same = all(one is other for one, other in zip(arguments, resolved, strict=True))
        return hint if same else _with_arguments(hint, resolved)

    def _text(self, text: str, *, trusted: bool) -> object:
        if text in self._open:
            raise TypeError(f"{text} refers to itself; a class, or a `type` statement, may do so")
        self._open.append(text)
        tree = ast.parse(text.strip(), mode="eval")
        if not trusted and not all(isinstance(node, _QUOTED) for node in ast.walk(tree)):
            raise TypeError("a quoted hint may have names, brackets and `|`, and no more")
        value = eval(compile(tree, "<type hint>", "eval"), self._names)
        quoted = isinstance(tree.body, ast.Constant)
        if isinstance(value, str) and not quoted:
            raise TypeError(f"{text} is a str and no type; a text in a variable is not read as a hint")
        found = self.resolve(value, trusted=trusted and quoted)
        self._open.pop()
        return found


def _with_arguments(hint: Any, arguments: tuple[object, ...]) -> object:
    if isinstance(hint, types.UnionType):
        return functools.reduce(operator.or_, arguments)
    if isinstance(hint, types.GenericAlias):
        return types.GenericAlias(typing.cast("type", hint.__origin__), arguments)
    return hint.copy_with(arguments)
