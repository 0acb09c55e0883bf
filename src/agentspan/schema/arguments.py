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
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan.errors import DefinitionError
from agentspan.schema._hints import Names, innermost, names_of, resolve
from agentspan.schema._json_schema import object_schema, read_text, schema_generator
from agentspan.schema.values import MAX_BYTES, MAX_DEPTH, ResultError, check_text, to_jsonable

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


UNFIT = "The arguments do not fit."
"""How the report begins of a call whose function was not called."""


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

    def validate(self, arguments: Mapping[str, Any], mark: str = "text:") -> dict[str, Any]:
        """The keyword arguments for the function.

        Args:
            arguments: What arrived from the model.
            mark: What stands before a text that would be changed on its way without it.

        Raises:
            ArgumentError: With every problem found, in words a model can act on.
        """
        known = ", ".join(self.adapters) or "no arguments"
        problems = [f"{name}: unknown; the tool takes {known}" for name in arguments if name not in self.adapters]
        values = {}
        for name, adapter in self.adapters.items():
            if name in arguments:
                told = self.schema["properties"][name]
                cut: list[str] = []
                value = read_text(arguments[name], told, self.schema, mark, cut)
                if cut:
                    problems += [f"{name}: {problem}" for problem in dict.fromkeys(cut)]
                    continue
                values[name], found = validated(adapter, name, value)
                if found and "default" in told and value == told["default"]:
                    del values[name]  # as if it were left out: some defaults are not of the type of their hint
                else:
                    problems += found
            elif name in self.schema["required"]:
                problems.append(f"{name}: missing")
        if problems:
            raise refused(problems)
        return values


def describe(function: Callable[..., object], *, tool: str, inject: type) -> Arguments:
    """Read a function's parameters.

    Args:
        function: The function behind the tool.
        tool: The tool's name, for messages.
        inject: Parameters of this type are filled by the worker, and one named `context` that has no type hint.

    Raises:
        DefinitionError: When a parameter cannot be described to a model.
    """
    parameters = {p.name: p for p in _parameters(function, tool)}
    names = names_of(function, inject)
    hints = {p.name: _hint(p, names, tool, inject) for p in parameters.values()}
    injected = tuple(name for name, hint in hints.items() if _is_kind(hint, inject))
    adapters = {}
    for name, hint in hints.items():
        if name not in injected:
            adapters[name] = type_adapter(hint, names.local, f"tool {tool!r}, parameter {name!r}")
            _check_published(parameters[name], adapters[name], tool)
    docs = _parameter_docs(_docstring(function))
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    schema = object_schema(adapters, docs, defaults)
    return Arguments(schema=schema, injected=injected, adapters=adapters)


def description(function: Callable[..., object]) -> str:
    """The function's docstring without what it says of its parameters."""
    text = _PARAMETER_DOCS.sub("", _docstring(function))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def is_async(function: Callable[..., object]) -> bool:
    """Whether it is declared to give something to await.

    What else it gives may have to be awaited, too: a decorator around an async function is no async
    function, and it may await by itself.
    """
    while isinstance(function, functools.partial):
        function = function.func
    call = type(function).__call__  # of an object that can be called
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


# --- signatures ---------------------------------------------------------------------------------


def _parameters(function: Callable[..., object], tool: str) -> list[inspect.Parameter]:
    signed = _signed(function)
    try:
        parameters = list(inspect.signature(signed).parameters.values())
    except (TypeError, ValueError, NameError) as error:
        raise DefinitionError(
            f"tool {tool!r}: Python cannot tell the parameters of {function!r}: {error}",
            hint="Wrap it in a function with type hints.",
        ) from error
    # What a partial gives is not the model's to choose, nor to see: it may be a key.
    given = signed.keywords if isinstance(signed, functools.partial) else {}
    parameters = [parameter for parameter in parameters if parameter.name not in given]
    inner = innermost(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise DefinitionError(f"tool {tool!r} is a generator", hint="A tool returns one value, such as a list.")
    for parameter in parameters:
        _check_parameter(parameter, tool)
    return parameters


def _signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """What tells the parameters: the partial under decorators, if there is one, with all that partials give.

    `inspect.signature` passes over a partial that `functools.update_wrapper` gave its function's name.
    """
    under = inspect.unwrap(function, stop=lambda it: isinstance(it, functools.partial) or hasattr(it, "__signature__"))
    if not isinstance(under, functools.partial):
        return function
    return functools.partial(_signed(under.func), *under.args, **under.keywords)


def _check_parameter(parameter: inspect.Parameter, tool: str) -> None:
    where = f"tool {tool!r}, parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DefinitionError(
            f"{where}: a model cannot be told what {str(parameter).split(':')[0]} takes",
            hint="Give each argument a name and a type; dict[str, ...] takes free keys.",
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise DefinitionError(f"{where} is positional-only, but models name their arguments", hint="Remove the `/`.")
    if parameter.annotation is parameter.empty and parameter.name == "self":
        raise DefinitionError(f"{where} is the object of a method", hint="Pass the bound one: tool(object.method).")


def _check_published(parameter: inspect.Parameter, adapter: pydantic.TypeAdapter[Any], tool: str) -> None:
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
    hint = f"Write `{parameter.name}: Annotated[<type>, Field(...)] = <default>`."
    if isinstance(parameter.default, import_module("pydantic.fields").FieldInfo):
        raise DefinitionError(f"{where}: Field(...) as a default would reach the function as it is", hint=hint)
    if parameter.default is parameter.empty and adapter.core_schema["type"] == "default":
        raise DefinitionError(f"{where}: the function does not get the default of a Field(...)", hint=hint)


def _hint(parameter: inspect.Parameter, names: Names, tool: str, inject: type) -> object:
    if parameter.annotation is not parameter.empty:
        return _resolve(parameter, names, tool)
    if parameter.name == "context":
        return inject
    warnings.warn(
        f"tool {tool!r}, parameter {parameter.name!r} has no type hint: models are told nothing of it, and any JSON is "
        f"let through. Write for instance `{parameter.name}: str`.",
        stacklevel=2,
    )
    return Any


def _resolve(parameter: inspect.Parameter, names: Names, tool: str) -> object:
    try:
        return resolve(parameter.annotation, names)
    except Exception as error:
        raise DefinitionError(
            f"tool {tool!r}, parameter {parameter.name!r}: "
            f"the type hint {parameter.annotation!r} cannot be resolved: {error}",
            hint="Define or import the type before the tool, and not under `if TYPE_CHECKING:`.",
        ) from error


def _is_kind(hint: object, kind: type) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_kind(option, kind) for option in typing.get_args(hint))
    if origin is typing.Annotated:
        return _is_kind(typing.get_args(hint)[0], kind)
    alias = None if isinstance(hint, type) else getattr(hint, "__value__", None)  # of a `type` statement
    return hint is kind or (alias is not None and _is_kind(alias, kind))


def _docstring(function: Callable[..., object]) -> str:
    text = inspect.getdoc(innermost(function)) or ""
    # Python's own, inherited by every object that can be called.
    return "" if text == object.__call__.__doc__ else text


def _parameter_docs(docstring: str) -> dict[str, str]:
    if not _PARAMETER_DOCS.search(docstring):
        return {}
    parser = import_module("docstring_parser")
    try:
        parsed = parser.parse(docstring)
    except parser.ParseError:  # prose that only looks like a section
        return {}
    return {p.arg_name: p.description.strip() for p in parsed.params if p.description}


def type_adapter(hint: object, local: Mapping[str, Any], where: str) -> pydantic.TypeAdapter[Any]:
    """What reads values of a type.

    Args:
        hint: The type.
        local: Types that its hints may name, beside those of its module.
        where: What to call it in messages.

    Raises:
        DefinitionError: It has no JSON Schema.
    """
    try:
        adapter = _made(hint)
        if not adapter.pydantic_complete:  # a class that is local to a function has hints of its own
            adapter.rebuild(_types_namespace=local)
        adapter.json_schema(schema_generator=schema_generator())
    except Exception as error:
        problem = (str(error) or type(error).__name__).splitlines()[0]
        raise DefinitionError(
            f"{where}: {inspect.formatannotation(hint)} has no JSON Schema ({problem})",
            hint="Models send JSON: str, numbers, lists, dicts, Literal, Enum, dataclasses, pydantic models.",
        ) from error
    return adapter


def _made(_hint: object) -> pydantic.TypeAdapter[Any]:
    # Pydantic looks for the names in a class's hints among the variables of its caller, too, and before
    # those of the class's module. So the caller is a function with no other variable than this.
    adapter: pydantic.TypeAdapter[Any] = import_module("pydantic").TypeAdapter(_hint)
    return adapter


# --- validation ---------------------------------------------------------------------------------


def validated(adapter: pydantic.TypeAdapter[Any], name: str, value: object) -> tuple[object, list[str]]:
    """The value as its type has it, and what is wrong with it."""
    try:
        # As JSON, so that types which are strict about Python values still accept their JSON form.
        return adapter.validate_json(json.dumps(value)), []
    except import_module("pydantic").ValidationError as error:
        problems = []
        for item in error.errors(include_url=False, include_context=False):
            path = ".".join([name, *map(str, item["loc"])])
            given = "" if item["type"] == "missing" else f"; got {_shown(item['input'])}"
            problems.append(f"{path}: {item['msg']}{given}")
        return None, problems


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def refused(problems: list[str]) -> ArgumentError:
    """What the model is told of arguments with these problems."""
    lines = [f"{UNFIT} Correct them and call the tool again."]
    lines += [f"- {problem}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"- and {len(problems) - _LISTED} more")
    return ArgumentError("\n".join(lines))
