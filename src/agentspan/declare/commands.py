"""Options of agents that scripts written for another SDK use to let a model run commands and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from agentspan.errors import DefinitionError


@dataclass(frozen=True)
class CliConfig:
    """Commands that an agent's model may run; `cli_tool` has more to say.

    Attributes:
        enabled: Whether it may at all.
        allowed_commands: Which ones; they have to be named.
        timeout: Seconds that each may take.
        working_dir: Where they run; an empty folder for each call unless given.
        allow_shell: Not here: commands are run without a shell.
        guardrails: What looks at each command, and at what it gave; see `tool`.
    """

    enabled: bool = True
    allowed_commands: Sequence[str] = ()
    timeout: float = 30
    working_dir: str | None = None
    allow_shell: bool = False
    guardrails: Sequence[Any] = ()


@dataclass(frozen=True)
class CodeExecutionConfig:
    """Code that an agent's model may run; `code_tool` has more to say.

    Attributes:
        enabled: Whether it may at all.
        allowed_languages: What it may write in: `python`, `bash`, `javascript`.
        executor: A `Container`; None for beside the worker.
        timeout: Seconds that each program may take.
        working_dir: Where it runs; an empty folder for each call unless given.
        allowed_commands: Not here: code starts what programs it likes, and a container says which there are.
    """

    enabled: bool = True
    allowed_languages: Sequence[str] = ("python",)
    executor: Any = None
    timeout: float = 30
    working_dir: str | None = None
    allowed_commands: Sequence[str] = ()


def command_tools(agent: str, named: Mapping[str, Any]) -> list[Any]:
    """The tools that options of an agent stand for.

    Args:
        agent: Its name, which is part of the tools'.
        named: Its options under other names.

    Raises:
        DefinitionError: A value makes no sense.
    """
    cli, code = _cli(agent, named), _code(agent, named)
    if cli is None and code is None:
        return []
    # Late: what runs commands is no part of declaring, and few agents have any.
    tools, limits = import_module("agentspan.sandbox.tools"), import_module("agentspan.sandbox.limits").ProcessLimits
    made = []
    if cli is not None:
        command = tools.cli_tool(
            cli.allowed_commands,
            name=f"{agent}_run_command",
            folder=cli.working_dir,
            limits=limits(time=cli.timeout),
        )
        made.append(replace(command, guardrails=tuple(cli.guardrails)))
    if code is not None:
        made.append(
            tools.code_tool(
                code.allowed_languages,
                name=f"{agent}_execute_code",
                folder=code.working_dir,
                limits=limits(time=code.timeout, memory=1024),
                container=code.executor,
            )
        )
    return made


def _cli(agent: str, named: Mapping[str, Any]) -> CliConfig | None:
    config, commands = named.get("cli_config"), named.get("cli_allowed_commands")
    if config is None and (commands or named.get("cli_commands")):
        config = CliConfig(allowed_commands=commands or ())
    if config is None:
        return None
    if not isinstance(config, CliConfig):
        raise DefinitionError(f"agent {agent!r}: cli_config is a CliConfig, not {config!r}")
    if not config.enabled or named.get("cli_commands") is False:
        return None
    if not config.allowed_commands or config.allow_shell:
        raise DefinitionError(
            f"agent {agent!r}: the commands that its model may run have to be named, and are run without a shell",
            hint="cli_allowed_commands=['git status', 'ls']; a shell is a command like others: 'bash -c'.",
        )
    return config


def _code(agent: str, named: Mapping[str, Any]) -> CodeExecutionConfig | None:
    config = named.get("code_execution")
    if config is None and named.get("local_code_execution"):
        config = CodeExecutionConfig(allowed_languages=named.get("allowed_languages") or ("python",))
    if config is None:
        return None
    if not isinstance(config, CodeExecutionConfig):
        raise DefinitionError(f"agent {agent!r}: code_execution is a CodeExecutionConfig, not {config!r}")
    if config.allowed_commands:
        raise DefinitionError(
            f"agent {agent!r}: code that its model has written starts what programs it likes: allowed_commands has no "
            "effect on it",
            hint="Leave them out, and give it a container with those programs alone: executor=Container(image=…).",
        )
    return config if config.enabled and named.get("local_code_execution") is not False else None
