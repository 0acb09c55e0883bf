"""What is installed: this distribution, and others that want the same package or command.

The distribution has another name than the package: on the Python package index `agentspan` is another project, whose
files go to the same folder (docs/decisions/0016-distribution-name.md). Installers mix the two without a word.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

NAME = "agents-on-conductor"


def version() -> str:
    """The installed version; pyproject.toml is the one place that says it."""
    from importlib import metadata  # noqa: PLC0415 - takes longer than all that `agentspan --help` does itself

    return metadata.version(NAME)


def add_extra(name: str) -> str:
    """The command that adds an extra to what is installed; it needs no release on an index."""
    return f"pip install '{NAME}[{name}]'"


def rivals() -> list[str]:
    """Other distributions in this environment with this package or this command, as `name version`.

    It reads what every distribution has installed, which takes a moment: for those who ask.
    """
    from importlib import metadata  # noqa: PLC0415 - see above

    commands = metadata.entry_points(group="console_scripts", name="agentspan")
    names = {command.dist.name for command in commands if command.dist}
    names.update(metadata.packages_distributions().get("agentspan", []))
    return [f"{name} {metadata.version(name)}" for name in sorted(names - {NAME})]


def way_out(rival: str) -> str:
    """What to do about a rival; to install this one again is not enough, since its version is there already."""
    return (
        f"pip uninstall {rival.split()[0]} {NAME}, then install one of them; the other needs an environment of its own"
    )


@cache
def warn_of_mixed_files(log: Logger) -> None:
    """Log, once for a process, that another `agentspan` shares this package's folder; costs one look at that folder."""
    folder = os.path.dirname(os.path.dirname(__file__))
    for entry in os.listdir(folder) if os.path.isdir(folder) else ():  # it may be an archive
        if entry.startswith("agentspan-") and entry.endswith(".dist-info"):
            rival = entry.removesuffix(".dist-info").replace("-", " ", 1)
            log.warning("the files of %s and %s are mixed in %s: %s", rival, NAME, folder, way_out(rival))
