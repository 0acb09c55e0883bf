"""`agentspan completion`: what a shell needs to complete commands."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from agentspan.cli._output import example

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}


@click.command("completion", epilog=example("agentspan completion bash"))
@click.argument("shell", type=click.Choice(sorted(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands in your shell.

    \b
    Load it when the shell starts:
      bash  agentspan completion bash > ~/.agentspan-completion.bash
            echo 'source ~/.agentspan-completion.bash' >> ~/.bashrc
      zsh   agentspan completion zsh > ~/.agentspan-completion.zsh
            echo 'source ~/.agentspan-completion.zsh' >> ~/.zshrc
      fish  agentspan completion fish > ~/.config/fish/completions/agentspan.fish
    """
    script = _SHELLS[shell](context.find_root().command, {}, "agentspan", "_AGENTSPAN_COMPLETE")
    click.echo(script.source())
