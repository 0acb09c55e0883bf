"""Python signatures as JSON Schema, and Python values as JSON.

`describe` turns a function into what a model is told about it and what is let through to it;
`to_jsonable` (in `values`) turns what it returned into what Conductor can store. pydantic does
the work; it is loaded with the first tool and not with this module, because it costs 0.2 s.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan._json_schema import object_schema, restore_text, schema_generator
from agentspan.errors import DefinitionError
from agentspan.values import MAX_BYTES, MAX_DEPTH, ResultError, check_text, to_jsonable

if TYPE_CHECKING:
    import pydantic

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "ArgumentError",
    "Arguments",
    "ResultError",
    "check_text",
    "describe",
    "description",
    "innermost",
    "is_async",
    "to_jsonable",
]

_SHOWN = 200  # characters of a wrong value that the model gets back
_LISTED = 10  # problems that one answer to the model lists

# Anthropic refuses a tool that has a property of another form.
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_PARAMETER_DOCS = re.compile(
    r"^(?:Args|Arguments|Parameters|Params|Keyword Arg(?:ument)?s):[ \t]*\n(?:[ \t]+\S.*\n?|[ \t]*\n)*"
    r"|^(?:Other )?Parameters[ \t]*\n-{3,}[ \t]*\n(?:(?!\S.*\n-{3,}).*\n|(?!\S.*\n-{3,}).+$)*"
    r"|^[:@](?:param|parameter|arg|argument|key|keyword|type)\b.*\n?(?:[ \t]+\S.*\n?)*",
    re.MULTILINE,
)
"""The part of a docstring that speaks of parameters: Google, NumPy, or Sphinx and Epydoc."""


class ArgumentError(ValueError):
    """The model's arguments do not fit the tool; the text is for the model."""


@dataclass(frozen=True, eq=False)
class Arguments:
    """The arguments of one tool.

    Attributes:
        schema: Their JSON Schema, as models are told it. Not to be changed.
        injected: Parameters that the worker fills and no model sees.
    """

    schema: Mapping[str, Any]
    injected: tuple[str, ...]
    adapters: Mapping[str, pydantic.TypeAdapter[Any]] = field(repr=False)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function.

        Raises:
            ArgumentError: With every problem found, in words a model can act on.
        """
        known = ", ".join(self.adapters) or "no arguments"
        problems = [f"{name}: unknown; the tool takes {known}" for name in arguments if name not in self.adapters]
        values = {}
        for name, adapter in self.adapters.items():
            if name in arguments:
                value = restore_text(arguments[name], self.schema["properties"][name], self.schema)
                values[name] = _validated(adapter, name, value, problems)
            elif name in self.schema["required"]:
                problems.append(f"{name}: missing")
        if problems:
            raise ArgumentError(_listing(problems))
        return values


def describe(function: Callable[..., object], *, tool: str, inject: type) -> Arguments:
    """Read a function's parameters.

    Args:
        function: The function behind the tool.
        tool: The tool's name, for messages.
        inject: Parameters of this type are filled by the worker.

    Raises:
        DefinitionError: When a parameter cannot be described to a model.
    """
    parameters = {p.name: p for p in _parameters(function, tool)}
    spaces = _namespaces(function)
    hints = {p.name: _resolve(p, spaces, tool) for p in parameters.values()}
    injected = tuple(name for name, hint in hints.items() if _is_kind(hint, inject))
    adapters = {}
    for name, hint in hints.items():
        if name not in injected:
            _check_published(parameters[name], tool)
            adapters[name] = _adapter(hint, name, tool)
    docs = _parameter_docs(_docstring(function))
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    schema = object_schema(adapters, docs, defaults)
    return Arguments(schema=schema, injected=injected, adapters=adapters)


def description(function: Callable[..., object]) -> str:
    """The function's docstring without what it says of its parameters."""
    text = _PARAMETER_DOCS.sub("", _docstring(function))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives something to await."""
    call = type(function).__call__  # of an object that can be called
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


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


# --- signatures ---------------------------------------------------------------------------------


def _parameters(function: Callable[..., object], tool: str) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"tool {tool!r}: Python cannot tell the parameters of {function!r}",
            hint="Wrap it in a function with type hints.",
        ) from error
    inner = innermost(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise DefinitionError(f"tool {tool!r} is a generator", hint="A tool returns one value, such as a list.")
    for parameter in parameters:
        _check_parameter(parameter, tool)
    return parameters


def _check_parameter(parameter: inspect.Parameter, tool: str) -> None:
    where = f"tool {tool!r}, parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DefinitionError(
            f"{where}: a model cannot be told what {str(parameter).split(':')[0]} takes",
            hint="Give each argument a name and a type; dict[str, ...] takes free keys.",
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise DefinitionError(f"{where} is positional-only, but models name their arguments", hint="Remove the `/`.")
    if parameter.annotation is parameter.empty:
        own = " To use a method, pass the bound one: tool(object.method)." if parameter.name == "self" else ""
        raise DefinitionError(
            f"{where} has no type hint",
            hint=f"Write for instance `{parameter.name}: str`: the model is told the type.{own}",
        )


def _check_published(parameter: inspect.Parameter, tool: str) -> None:
    where = f"tool {tool!r}, parameter {parameter.name!r}"
    if parameter.name == "method":
        raise DefinitionError(
            f"{where}: Conductor overwrites an argument of this name with the tool's name",
            hint="Rename the parameter, for instance to `http_method`.",
        )
    if not _PARAMETER_NAME.fullmatch(parameter.name):
        raise DefinitionError(
            f"{where}: model providers refuse the name", hint="Use ASCII letters, digits and underscores."
        )
    if isinstance(parameter.default, import_module("pydantic.fields").FieldInfo):
        raise DefinitionError(
            f"{where}: Field(...) as a default would reach the function as it is",
            hint=f"Write `{parameter.name}: Annotated[<type>, Field(...)] = <default>`.",
        )


def _namespaces(function: Callable[..., object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where the names in the function's hints may be found: its globals, and what encloses it."""
    inner = innermost(function)
    local = _caller_locals()
    if inspect.isfunction(inner):
        for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
            try:
                local[name] = cell.cell_contents
            except ValueError:  # not assigned yet: a function that calls itself
                continue
    return getattr(inner, "__globals__", {}), local


def _caller_locals() -> dict[str, Any]:
    """The variables of whoever called into agentspan: a type may be local to a function."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("agentspan."):
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)


def _resolve(parameter: inspect.Parameter, spaces: tuple[dict[str, Any], dict[str, Any]], tool: str) -> object:
    # One parameter at a time, so that the message can name it.
    holder = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        return typing.get_type_hints(holder, *spaces, include_extras=True)["it"]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise DefinitionError(
            f"tool {tool!r}, parameter {parameter.name!r}: "
            f"the type hint {parameter.annotation!r} cannot be resolved: {error}",
            hint="Import the type where the tool is defined, and not under `if TYPE_CHECKING:`.",
        ) from error


def _is_kind(hint: object, kind: type) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return kind in typing.get_args(hint)
    return hint is kind


def _docstring(function: Callable[..., object]) -> str:
    return inspect.getdoc(innermost(function)) or ""


def _parameter_docs(docstring: str) -> dict[str, str]:
    if not _PARAMETER_DOCS.search(docstring):
        return {}
    parser = import_module("docstring_parser")
    try:
        parsed = parser.parse(docstring)
    except parser.ParseError:  # prose that only looks like a section
        return {}
    return {p.arg_name: p.description.strip() for p in parsed.params if p.description}


def _adapter(hint: object, name: str, tool: str) -> pydantic.TypeAdapter[Any]:
    errors, core = import_module("pydantic.errors"), import_module("pydantic_core")
    try:
        adapter: pydantic.TypeAdapter[Any] = import_module("pydantic").TypeAdapter(hint)
        adapter.json_schema(schema_generator=schema_generator())
    except (errors.PydanticUserError, errors.PydanticUndefinedAnnotation, core.SchemaError, TypeError) as error:
        raise DefinitionError(
            f"tool {tool!r}, parameter {name!r}: {inspect.formatannotation(hint)} has no JSON Schema "
            f"({str(error).splitlines()[0]})",
            hint="Models send JSON: str, numbers, lists, dicts, Literal, Enum, dataclasses, pydantic models.",
        ) from error
    return adapter


# --- validation ---------------------------------------------------------------------------------


def _validated(adapter: pydantic.TypeAdapter[Any], name: str, value: object, problems: list[str]) -> object:
    try:
        # As JSON, so that types which are strict about Python values still accept their JSON form.
        return adapter.validate_json(json.dumps(value))
    except import_module("pydantic").ValidationError as error:
        for item in error.errors(include_url=False, include_context=False):
            path = ".".join([name, *map(str, item["loc"])])
            given = "" if item["type"] == "missing" else f"; got {_shown(item['input'])}"
            problems.append(f"{path}: {item['msg']}{given}")
        return None


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _listing(problems: list[str]) -> str:
    lines = ["The arguments do not fit. Correct them and call the tool again."]
    lines += [f"- {problem}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"- and {len(problems) - _LISTED} more")
    return "\n".join(lines)
