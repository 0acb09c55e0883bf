"""Tools with which a model runs commands, or code that it has written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentspan.declare.policy import Retry, check_kind
from agentspan.declare.tool import Tool, current_tool_context, tool
from agentspan.errors import DefinitionError
from agentspan.sandbox.limits import Container, ProcessLimits
from agentspan.sandbox.process import Command, Ended, run

Language = Literal["python", "bash", "javascript"]

_CODE_LIMITS = ProcessLimits(memory=1024, network=False)

_FILES = {"python": "main.py", "bash": "main.sh", "javascript": "main.js"}
_PROGRAMS = {"python": ("python3", "-I"), "bash": ("bash",), "javascript": ("node",)}


def cli_tool(
    allowed_commands: Sequence[str],
    *,
    name: str = "run_command",
    description: str | None = None,
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
    credentials: Sequence[str] = (),
    limits: ProcessLimits = ProcessLimits(),  # noqa: B008 - a frozen value
    container: Container | None = None,
) -> Tool[..., Any]:
    """A tool that runs one of some commands, without a shell.

        cli_tool(["git status", "git log", "rg"], folder="/srv/checkout")

    The model chooses one of them and gives the arguments, which come after those that are given here. The command gets
    an environment of its own: PATH, an empty HOME, what stands in `environment`, and the credentials. The model gets
    its exit code, stdout and stderr.

    Args:
        allowed_commands: Programs, each with as many of its first arguments as are fixed. One that can start others
            (`find`, `env`, `git`, `bash -c`) allows those, too.
        name: What models call the tool.
        description: What models are told it does; the commands are named with the parameter.
        folder: Where commands run; an empty one for each call unless given, that is gone after it.
        environment: Variables for the commands, none of them secret.
        credentials: Names of what the worker hands to each call; the commands have them as variables.
        limits: What a command may use.
        container: Runs commands there, and not beside the worker.

    Raises:
        DefinitionError: A value makes no sense.
    """
    allowed = _allowed(allowed_commands, f"tool {name!r}")
    where = _Where(name, folder, environment, limits, container)

    def run_command(command: str, args: Sequence[str] = (), stdin: str = "") -> dict[str, Any]:
        """Run a command, without a shell: no pipes, no variables, no wildcards.

        Args:
            command: Which one.
            args: Its arguments, each as it is to arrive.
            stdin: What it reads from its standard input.
        """
        return where.run((*shlex.split(command), *args), stdin=stdin)

    run_command.__annotations__["command"] = Literal[tuple(allowed)]
    return tool(run_command, name=name, description=description, retry=Retry(1), credentials=credentials)


def code_tool(
    languages: Sequence[Language] = ("python",),
    *,
    name: str = "run_code",
    description: str | None = None,
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
    credentials: Sequence[str] = (),
    limits: ProcessLimits = _CODE_LIMITS,
    container: Container | None = None,
) -> Tool[..., Any]:
    """A tool that runs code which the model has written, in a process of its own.

        code_tool(container=Container(image="python:3.13-slim"))

    Beside the worker, the code is kept from the network and from the worker's environment and memory, and not from the
    files that the worker's user can read: code that nobody trusts wants a container. Python is the worker's own, with
    what is installed there; a container has its own.

    Args:
        languages: What the model may write in.
        name: What models call the tool.
        description: What models are told it does.
        folder: Where the code runs; an empty one for each call unless given, that is gone after it.
        environment: Variables for the code, none of them secret.
        credentials: Names of what the worker hands to each call; the code has them as variables.
        limits: What it may use; 60 s, 1024 MB and no network unless given.
        container: Runs the code there, and not beside the worker.

    Raises:
        DefinitionError: A value makes no sense.
    """
    known = _languages(languages, f"tool {name!r}")
    where = _Where(name, folder, environment, limits, container)

    def run_code(code: str, language: str = known[0]) -> dict[str, Any]:
        """Run a program; it prints what is to be known of it. Nothing of it is there in the next call.

        Args:
            code: The whole program.
            language: What it is written in.
        """
        program = (sys.executable, "-I") if language == "python" and container is None else _PROGRAMS[language]
        return where.run(program, script=(_FILES[language], code))

    run_code.__annotations__["language"] = Literal[tuple(known)]
    return tool(run_code, name=name, description=description, retry=Retry(1), credentials=credentials)


class _Where:
    """How a tool's commands are run."""

    def __init__(
        self,
        name: str,
        folder: str | None,
        environment: Mapping[str, str] | None,
        limits: ProcessLimits,
        container: Container | None,
    ) -> None:
        check_kind(limits, ProcessLimits, f"tool {name!r}: limits")
        if container is not None and not isinstance(container, Container):
            raise DefinitionError(
                f"tool {name!r}: container is a Container, not {container!r}",
                hint="Container(image='python:3.13-slim')",
            )
        if folder is not None and (not isinstance(folder, str) or not folder):
            raise DefinitionError(f"tool {name!r}: folder is the path of one, not {folder!r}")
        self._environment = _variables(environment or {}, f"tool {name!r}")
        self._folder, self._limits, self._container = folder, limits, container

    def run(self, words: tuple[str, ...], stdin: str = "", script: tuple[str, str] | None = None) -> dict[str, Any]:
        """Run a command; what the model is told of it."""
        context = current_tool_context()
        secrets = {} if context is None else context.credentials
        command = Command(
            words=words,
            script=script,
            stdin=stdin,
            folder=self._folder,
            environment={**self._environment, **secrets},
            limits=self._limits,
            container=self._container,
            apart=script is not None,
        )
        return _told(run(command, _waited_for if context is None else context.check_cancelled))


def _waited_for() -> bool:
    return False


def _told(ended: Ended) -> dict[str, Any]:
    told = {"exit_code": ended.exit_code, "stdout": ended.stdout, "stderr": ended.stderr}
    return told if ended.stopped is None else {**told, "stopped": ended.stopped}


def _allowed(commands: object, what: str) -> list[str]:
    if isinstance(commands, str) or not isinstance(commands, Sequence) or not commands:
        raise DefinitionError(f"{what}: allowed_commands is a list of commands, not {commands!r}")
    for each in commands:
        if not isinstance(each, str) or not each.strip() or "\0" in each:
            raise DefinitionError(f"{what}: an allowed command is a text such as 'git status', not {each!r}")
        try:
            program = shlex.split(each)[0]
        except ValueError as error:
            raise DefinitionError(f"{what}: the allowed command {each!r} cannot be read: {error}") from error
        if "/" in program and not program.startswith("/"):
            raise DefinitionError(
                f"{what}: {program!r} is another program in each folder",
                hint="Give the program's name, which is looked for in PATH, or its whole path.",
            )
    return list(dict.fromkeys(commands))


def _languages(languages: object, what: str) -> list[str]:
    if isinstance(languages, str) or not isinstance(languages, Sequence) or not languages:
        raise DefinitionError(f"{what}: languages is a list of {', '.join(_FILES)}, not {languages!r}")
    for each in languages:
        if each not in _FILES:
            raise DefinitionError(f"{what}: a language is one of {', '.join(_FILES)}, not {each!r}")
    return list(dict.fromkeys(languages))


def _variables(given: object, what: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise DefinitionError(f"{what}: environment has a text for each name, and is not {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str) or not name or "=" in name or not isinstance(value, str) or "\0" in name + value:
            raise DefinitionError(f"{what}: environment has a text for each name, and not so for {name!r}")
    return dict(given)
