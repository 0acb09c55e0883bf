"""`agentspan config`: the settings, and where each comes from."""

from __future__ import annotations

from typing import Any

import click

from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit, emit_all, example, output_option, table
from agentspan.cli._text import flat
from agentspan.config import Setting, load_settings, resolve, user_file

_SECRET = frozenset({"auth_key", "auth_secret"})
_MASK = "********"


@click.group("config")
def config_group() -> None:
    """Show the settings, and where each comes from.

    \b
    A setting is taken from the first of these places that has it:
      argument     an option such as --server
      environment  a variable such as AGENTSPAN_SERVER_URL
      profile      [profiles.NAME] in your own file, named by --profile or AGENTSPAN_PROFILE
      file         [tool.agentspan] in ./pyproject.toml
      default
    """


@config_group.command("show", epilog=example("agentspan --profile staging config show"))
@output_option
@click.pass_context
def show(context: click.Context, output: Output) -> None:
    """Show each setting, its value and where it comes from; secrets are masked."""
    session = context.ensure_object(Session)
    given = {"profile": session.profile, "server_url": session.server_url}
    load_settings(**given)  # what makes no sense is an error here, too
    settings = [_shown(setting) for setting in resolve(**given)]
    if output == "json":
        emit({"user_file": str(user_file()), "settings": settings}, output)
    elif output == "jsonl":
        emit_all(settings, output)
    else:
        rows = [(each["name"], _text(each["value"]), _origin(each)) for each in settings]
        click.echo("\n".join(table(("SETTING", "VALUE", "FROM"), rows)))


def _shown(setting: Setting) -> dict[str, Any]:
    return {"name": setting.name, "value": _masked(setting), "source": setting.source, "place": setting.place}


def _masked(setting: Setting) -> Any:
    return _MASK if setting.name in _SECRET and setting.value is not None else setting.value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else flat(str(value))


def _origin(shown: dict[str, Any]) -> str:
    return f"{shown['source']}: {flat(shown['place'])}" if shown["place"] else shown["source"]
