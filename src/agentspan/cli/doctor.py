"""`agentspan doctor`: what this machine has, lacks, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from agentspan._distribution import NAME, add_extra, rivals, version, way_out
from agentspan.agents import AgentspanError, ServerError, ServerUnreachable
from agentspan.cli._app import Session
from agentspan.cli._output import Output, emit, emit_all, output_option
from agentspan.config import Settings, load_settings, local_url
from agentspan.declare.providers import PROVIDERS

Level = Literal["ok", "warn", "fail"]

LEAST_PYTHON = (3, 11)
NEEDED_BYTES = 1_500_000_000
"""Free space for the server's download and its unpacked tree."""
LITTLE_BYTES = 200_000_000
"""Below this, a running server will soon fail to store what it must."""


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        level: `fail` when agents cannot run because of it, `warn` when that depends.
        detail: What was found.
        fix: What to do about it; empty when all is well.
    """

    name: str
    level: Level
    detail: str
    fix: str = ""


@click.command("doctor")
@output_option
@click.pass_context
def doctor(context: click.Context, output: Output) -> None:
    """Check what this machine needs to run agents.

    Each line says what was found and, where something is missing, what to do. The exit code is 1 when agents cannot
    run like this.
    """
    session = context.ensure_object(Session)
    settings = load_settings(profile=session.profile, server_url=session.server_url)
    checks = list(examine(settings))
    blocked = any(check.level == "fail" for check in checks)
    if output == "text":
        for check in checks:
            click.echo("\n".join(_lines(check)))
    elif output == "json":
        emit({"ok": not blocked, "checks": [asdict(check) for check in checks]}, output)
    else:
        emit_all((asdict(check) for check in checks), output)
    context.exit(1 if blocked else 0)


def _lines(check: Check) -> Iterator[str]:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.level]
    yield f"{click.style(check.level.ljust(4), fg=colour)}  {check.name.ljust(8)}  {check.detail}"
    if check.fix:
        yield f"{' ' * 16}{check.fix}"


def examine(settings: Settings) -> Iterator[Check]:
    """Look at everything once."""
    server = _server(settings)
    yield _python()
    yield from _install()
    yield server
    # Without a server, this machine must be able to start one; with one, it may.
    trouble: Level = "fail" if server.level == "warn" else "warn"
    try:
        yield _java(trouble)
        engine = _engine()
        yield engine
        yield _port(settings, server)
        yield from _data_folder(cached=engine.level == "ok")
    except ModuleNotFoundError as error:
        yield Check("jar", trouble, f"the embedded server needs the package {error.name}", add_extra("server"))
    yield _keys(dict(os.environ))


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] >= LEAST_PYTHON:
        return Check("python", "ok", found)
    return Check("python", "fail", found, f"agentspan needs Python {'.'.join(map(str, LEAST_PYTHON))} or newer")


def _install() -> Iterator[Check]:
    found = rivals()
    if not found:
        yield Check("install", "ok", f"{NAME} {version()}")
    for rival in found:
        detail = f"{rival} has the same package or command as {NAME} {version()}: what runs was installed last"
        yield Check("install", "warn", detail, way_out(rival))


def _java(trouble: Level) -> Check:
    from agentspan.server._java import find_java  # noqa: PLC0415 - part of an extra, which may be missing

    try:
        java = find_java()
    except AgentspanError as error:
        return Check("java", trouble, error.message, error.hint or "")
    return Check("java", "ok", f"{java.version} at {java.path}")


def _engine() -> Check:
    from agentspan.server._engine import Engine  # noqa: PLC0415 - part of an extra, which may be missing

    engine = Engine.in_cache()
    if engine.is_whole():
        return Check("jar", "ok", f"Conductor {engine.version} in {engine.folder}")
    return Check(
        "jar",
        "warn",
        f"Conductor {engine.version} is not in the cache yet",
        "`agentspan server start` downloads it, half a gigabyte; AGENTSPAN_SERVER_JAR names a jar you have",
    )


def _port(settings: Settings, server: Check) -> Check:
    from agentspan.server._process import port_is_free  # noqa: PLC0415 - part of an extra, which may be missing

    port = int(local_url().rpartition(":")[2])
    if port_is_free(port):
        return Check("port", "ok", f"{port} is free")
    if server.level == "ok" and settings.base_url.endswith(f":{port}"):
        return Check("port", "ok", f"{port} is the server's")
    return Check("port", "warn", f"{port} is in use by another program", "agentspan server start --port …")


def _server(settings: Settings) -> Check:
    from agentspan.engine.client import Conductor  # noqa: PLC0415 - loads Conductor's client

    try:
        client = Conductor(settings)
        client.check()
        version = client.call("GET", "/version")
    except ServerUnreachable as error:
        if settings.address == local_url():
            return Check("server", "warn", f"none is running at {settings.address}", "agentspan server start")
        return Check("server", "fail", error.message, error.hint or "start it, or see its log")
    except ServerError as error:
        return Check("server", "fail", error.message, error.hint or "see its log")
    return Check("server", "ok", f"Conductor {version} at {settings.address}")


def _keys(environ: dict[str, str]) -> Check:
    names = [name for variables in PROVIDERS.values() for name in variables]
    found = [name for name in names if environ.get(name)]
    if found:
        return Check("keys", "ok", ", ".join(found))
    return Check(
        "keys",
        "warn",
        "no model provider's key is in this environment",
        "set one, such as OPENAI_API_KEY, where the server is started, and where workers call models",
    )


def _data_folder(*, cached: bool) -> Iterator[Check]:
    from agentspan.server import LocalServer  # noqa: PLC0415 - part of an extra, which may be missing

    folder = LocalServer().data_dir
    if not _writable(folder):
        yield Check("data", "fail", f"{folder} cannot be written to", "make it writable, or set XDG_DATA_HOME")
        return
    yield Check("data", "ok", str(folder))
    free = shutil.disk_usage(_existing(folder)).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_BYTES:
        yield Check("disk", "fail", detail, "free some space: the server must store every step")
    elif free < NEEDED_BYTES and not cached:
        yield Check("disk", "warn", detail, f"the server's first start takes {NEEDED_BYTES / 1e9:.1f} GB")
    else:
        yield Check("disk", "ok", detail)


def _writable(folder: Path) -> bool:
    return os.access(_existing(folder), os.W_OK)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
