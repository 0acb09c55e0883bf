"""Import the agent that `MODULE:AGENT` names."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from agentspan.agents import Agent
from agentspan.cli._output import reserved_stdout
from agentspan.errors import ConfigError


class TargetError(ConfigError):
    """`MODULE:AGENT` does not lead to an agent."""


def load_agent(target: str) -> Agent:
    """The agent named `pkg.module:agent` or `file.py:agent`; without `:agent`, the only one there.

    Modules are looked for in the current folder first. What they print while they are imported goes to
    stderr: stdout belongs to the command's answer.

    Raises:
        TargetError: There is no such module or agent, or importing it failed.
    """
    place, name = _split(target)
    module = _import(place)
    return _named(module, name, place) if name else _only(module, place)


def load_agents(targets: Sequence[str]) -> list[Agent]:
    """The agents of several targets."""
    return [load_agent(target) for target in targets]


def _split(target: str) -> tuple[str, str]:
    place, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name or "\\" in name:  # no name, though perhaps a drive
        place, name = target, ""
    if not place or (colon and not name and target.endswith(":")):
        raise TargetError(f"{target!r} names no agent.", hint="Write it as module:agent or file.py:agent.")
    return place, name


def _import(place: str) -> ModuleType:
    folder = os.getcwd()
    _look_in(folder)
    try:
        with reserved_stdout():
            return _import_file(Path(place)) if _is_file(place) else import_module(place)
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and _is_within(place, error.name):
            raise TargetError(
                f"There is no module {error.name!r}.", hint=f"It was looked for in {folder} and in sys.path."
            ) from error
        raise _failed(place, error) from error


def _look_in(folder: str) -> None:
    """Find modules of a folder before installed ones, and after the standard library's: a `json.py` there is not it."""
    if folder in sys.path:
        return
    installed = (place for place, name in enumerate(sys.path) if Path(name).name in ("site-packages", "dist-packages"))
    sys.path.insert(next(installed, len(sys.path)), folder)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place


def _is_within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"There is no file {str(path)!r}.", hint=f"It was looked for in {os.getcwd()}.")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{str(path)!r} is not a Python file.")
    _look_in(str(path.parent.absolute()))
    module = module_from_spec(spec)
    if path.stem not in sys.stdlib_module_names:
        sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _failed(place: str, error: BaseException) -> TargetError:
    what = f"{type(error).__name__}: {error}"
    hint = getattr(error, "hint", None)
    return TargetError(f"{place} cannot be imported: {_where(error)}: {what}", hint=hint)


def _where(error: BaseException) -> str:
    """File and line of the user's code that raised."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    ours = str(Path(__file__).parents[1])
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(("<", ours))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"


def _named(module: ModuleType, name: str, place: str) -> Agent:
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise TargetError(f"{place} has no {name!r}.", hint=_suggestion(module, name))
        found = getattr(found, part)
    if not isinstance(found, Agent):
        kind = "type" if isinstance(found, type) else type(found).__name__
        raise TargetError(f"{name!r} in {place} is a {kind}, not an Agent.", hint=_agents_hint(module))
    return found


def _only(module: ModuleType, place: str) -> Agent:
    agents = _agents(module)
    distinct = {id(agent) for agent in agents.values()}
    if not agents:
        raise TargetError(f"{place} has no agent.", hint="Put one there as a variable: agent = Agent(…).")
    if len(distinct) > 1:
        raise TargetError(f"{place} has several agents: {', '.join(agents)}.", hint=f"Say which, as {place}:NAME.")
    return next(iter(agents.values()))


def _agents(module: ModuleType) -> dict[str, Agent]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Agent)}


def _suggestion(module: ModuleType, name: str) -> str | None:
    close = difflib.get_close_matches(name, _agents(module), n=1)
    return f"Did you mean {close[0]!r}?" if close else _agents_hint(module)


def _agents_hint(module: ModuleType) -> str:
    names = ", ".join(_agents(module))
    return f"Its agents: {names}." if names else "It has no agents at all."
