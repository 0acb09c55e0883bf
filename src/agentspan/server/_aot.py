"""Java's ahead-of-time cache, which takes most of the work out of booting.

It is recorded once, from a server that starts in a folder of its own, loads what a user's first step would
load and stops again. Java checks that a cache fits the program and itself, and boots without one that does
not; so whatever goes wrong here costs time, never a start.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import requests

from agentspan.errors import LocalServerError
from agentspan.server import _health
from agentspan.server._engine import Engine
from agentspan.server._java import Java
from agentspan.server._lock import locked
from agentspan.server._process import boot, end, free_port
from agentspan.server._progress import Progress
from agentspan.server._record import Record

_BOOT_SECONDS = 180.0
_WRITE_SECONDS = 180.0


def aot_flags(engine: Engine, java: Java) -> list[str]:
    """Return what to tell Java so that it boots from the cache, if there is one."""
    cache = _cache(engine, java)
    return [f"-XX:AOTCache={cache}"] if java.has_aot_cache and cache.exists() else []


def ensure_cache(engine: Engine, java: Java, progress: Progress) -> None:
    """Record the cache unless there is one, or this Java has no use for it."""
    cache = _cache(engine, java)
    if not java.has_aot_cache or cache.exists():
        return
    with locked(engine.lock_path()):
        if not cache.exists():  # nobody else has done it meanwhile
            _record(cache, engine, java, progress)


def _cache(engine: Engine, java: Java) -> Path:
    return engine.folder / f"java-{java.version}-{platform.machine()}.aot"


def _record(cache: Path, engine: Engine, java: Java, progress: Progress) -> None:
    progress("preparing quick starts")
    folder = engine.folder / "rehearsal"
    _clear(folder)
    fresh = folder / cache.name
    try:
        _rehearse(engine, java, folder, fresh)
    except (LocalServerError, requests.RequestException) as error:
        progress(f"going on without quick starts: {error}")
    else:
        os.replace(fresh, cache)
    finally:
        _clear(folder)


def _rehearse(engine: Engine, java: Java, folder: Path, output: Path) -> None:
    port = free_port()
    record = boot(
        java,
        engine,
        folder,
        port=port,
        settings={},
        providers=(),
        flags=[f"-XX:AOTCacheOutput={output}"],
        seconds=_BOOT_SECONDS,
    )
    _health.warm_up(record.url, _BOOT_SECONDS)
    end(record, _WRITE_SECONDS)
    if not output.exists():
        raise LocalServerError(f"Java {java.version} wrote no ahead-of-time cache")


def _clear(folder: Path) -> None:
    """Remove a rehearsal, with the server that an earlier one may have left behind when it was killed."""
    record = Record.read(folder)
    if record is not None:
        end(record, 0)
    shutil.rmtree(folder, ignore_errors=True)
