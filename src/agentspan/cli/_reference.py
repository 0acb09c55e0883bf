"""The reference of the command line, made from the commands themselves: `python -m agentspan.cli._reference cli`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from agentspan.cli import EPILOG, NOUNS, main

_MADE = "<!-- Made from the commands by `python -m agentspan.cli._reference cli`; do not edit. -->"


def pages() -> dict[str, str]:
    """The text of each page by its name: one for a noun, and one that leads to them."""
    root = click.Context(main, info_name="agentspan")
    found = {"README.md": _page(_overview(root))}
    for noun in main.list_commands(root):
        command = main.get_command(root, noun)
        assert command is not None  # it is listed
        found[f"{noun}.md"] = _page(_command(command, root, noun, level=1))
    return found


def _page(lines: Iterator[str]) -> str:
    return "\n".join([_MADE, "", *lines]).rstrip() + "\n"


def _overview(root: click.Context) -> Iterator[str]:
    yield "# The commands"
    yield ""
    yield from _usage(main, root)
    yield _prose(main.help)
    yield ""
    yield from _options(main, root)
    yield "| command | what it does |"
    yield "|---|---|"
    yield from (f"| [`agentspan {noun}`]({noun}.md) | {NOUNS[noun][1]} |" for noun in main.list_commands(root))
    yield ""
    yield "```text"
    yield inspect.cleandoc(EPILOG.replace("\b\n", "")).strip()
    yield "```"


def _command(command: click.Command, parent: click.Context, name: str, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"{'#' * min(level, 3)} {context.command_path}"
    yield ""
    if not isinstance(command, click.Group):
        yield from _usage(command, context)
    yield _prose(command.help)
    yield ""
    yield from _options(command, context)
    if command.epilog:
        yield "```console"
        yield f"$ {command.epilog.partition('Example:')[2].strip()}"
        yield "```"
        yield ""
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            if child is not None:
                yield from _command(child, context, verb, level + 1)


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""


def _prose(text: str | None) -> str:
    """A docstring as Markdown: what click leaves as it is becomes a block."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(
        "```text\n" + paragraph.removeprefix("\b\n") + "\n```" if paragraph.startswith("\b") else paragraph
        for paragraph in paragraphs
    )


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option)]
    records = [option.get_help_record(context) for option in options]
    rows = [record for record in records if record is not None and not record[0].startswith("--help")]
    if rows:
        yield "| option | meaning |"
        yield "|---|---|"
        yield from (f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in rows)
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
