"""What every command shares: how it is found, and how it fails."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from agentspan._distribution import NAME, rivals, version, way_out
from agentspan.cli._text import plain
from agentspan.errors import AgentspanError

if TYPE_CHECKING:
    from agentspan.agents import AgentRuntime

RUN_ENDED_BADLY = 3
INTERRUPTED = 130


def show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version and, as it is mostly asked after installing, what was installed wrong."""
    if not asked or context.resilient_parsing:
        return
    click.echo(f"agentspan {version()} ({NAME})")
    for rival in rivals():
        click.echo(f"Warning: {rival} has the same package or command.\n         {way_out(rival)}", err=True)
    context.exit()


@dataclass(frozen=True)
class Session:
    """The options of `agentspan` itself.

    Attributes:
        server_url: The server that was named; None leaves it to the settings.
        profile: The profile that was named; None leaves it to the environment.
        debug: Whether to show tracebacks.
    """

    server_url: str | None = None
    profile: str | None = None
    debug: bool = False

    @property
    def program(self) -> str:
        """How to call `agentspan` for the same server."""
        given = {"--server": self.server_url, "--profile": self.profile}
        return " ".join(["agentspan", *(f"{name} {value}" for name, value in given.items() if value)])

    def runtime(self, **settings: Any) -> AgentRuntime:
        """A connection to the server; nothing is sent yet. Traces go where OpenTelemetry's variables say.

        Args:
            **settings: Fields of `Settings`, on top of those of the command line.
        """
        from agentspan.runtime.runtime import AgentRuntime  # noqa: PLC0415 - loads Conductor's client, half a second
        from agentspan.telemetry.traces import TRACES  # noqa: PLC0415

        TRACES.export()
        # What scripts want of other forms is not for what is printed here, and `agentspan server start` is the command
        # that starts a server.
        return AgentRuntime(self.server_url, profile=self.profile, compat=False, autostart=False, **settings)


class Failure(click.ClickException):
    """An error as the user sees it: what happened, and what to do next."""

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Tell an error in one line and, where there is one, a hint."""
        if isinstance(error, AgentspanError):
            return cls(error.message, hint=error.hint, exit_code=error.exit_code)
        if isinstance(error, OSError) and error.errno is not None:
            place = f": {error.filename}" if error.filename else ""
            return cls(f"{error.strerror or error}{place}")
        message = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
        return cls(message, hint="`agentspan --debug …` shows where; please report it.")

    def show(self, file: Any = None) -> None:
        """Print the error to stderr."""
        click.echo(f"Error: {plain(self.message)}", err=True)
        if self.hint:
            click.echo(f"       {plain(self.hint)}", err=True)


class Verbs(click.Group):
    """A group that says in a line what each of its commands does, and cuts none."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        rows = [(name, self.commands[name].get_short_help_str(200)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Lazy(Verbs):
    """A group whose commands are imported when they are used.

    Args:
        lazy: Where each command is, as `module:name`, and what it does, in a line.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = dict(lazy)
        # What click guesses from when a command was mistyped.
        self.commands.update({name: click.Command(name, help=text) for name, (_, text) in lazy.items()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self.commands[name].get_short_help_str(200)) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)


class Root(Lazy):
    """The group of all nouns."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever goes wrong is told in a line, and sets the exit code."""
        _show_any_character()
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # a full disk is told here, and not when the interpreter ends
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last place that can tell a user in words
            _tell(ctx, error)


def _show_any_character() -> None:
    """Let a terminal that knows few characters show the others as escapes, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_stdout() -> None:
    """What could not be written is not tried again when the interpreter ends."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())


def _tell(ctx: click.Context, error: Exception) -> NoReturn:
    session = ctx.find_object(Session)
    if isinstance(error, OSError):
        _leave_stdout()
    if session.debug if session else os.environ.get("AGENTSPAN_DEBUG"):
        raise error
    raise Failure.of(error) from error
