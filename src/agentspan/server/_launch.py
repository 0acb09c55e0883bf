"""Start the server's process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from agentspan.server._java import Java
from agentspan.server._providers import scrubbed

LOG = "server.log"

_SETTINGS = "server.properties"
_BEANS = ("beans.xml", "stored.xml")
_KEEP_LOGS = 3
_ROTATE_AT = 1 << 20

JVM_FLAGS = (
    "-Xmx2g",
    # After running out of memory, a Java process may live on with its port open and do nothing.
    "-XX:+ExitOnOutOfMemoryError",
    # Several libraries load native code, which later releases of Java refuse unless told otherwise.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dpolyglot.engine.WarnInterpreterOnly=false",
    # Without it each query of the database walks the stack to find its logger: 3 % of what a turn costs (JFR, 3.32.3).
    "-Dlog4j2.contextSelector=org.apache.logging.log4j.core.selector.BasicContextSelector",
)


def launch(
    java: Java,
    jar: Path,
    data_dir: Path,
    *,
    flags: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> subprocess.Popen[bytes]:
    """Start a server in `data_dir` with the settings that `settings_file` has put there.

    The process has a session of its own, so that it outlives its starter and the starter's terminal.
    """
    temporary = data_dir / "tmp"  # what a killed server leaves there goes away at the next start
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    command: list[str | Path] = [
        java.path,
        *JVM_FLAGS,
        *flags,
        f"-Djava.io.tmpdir={temporary}",
        "-jar",
        jar,
        f"--spring.config.additional-location=file:./{_SETTINGS}",
    ]
    with _open_log(data_dir / LOG) as log:
        return subprocess.Popen(
            command,
            cwd=data_dir,
            env=scrubbed(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def settings_file(data_dir: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Keep the server's settings, keys included, in its folder while it starts, and no longer."""
    path, ours = data_dir / _SETTINGS, files(__package__)
    path.unlink(missing_ok=True)
    for name in _BEANS:
        (data_dir / name).write_text(ours.joinpath(name).read_text(encoding="utf-8"), encoding="utf-8")
    text = ours.joinpath("application.properties").read_text(encoding="utf-8")
    lines = [f"{name}={_escape(value)}\n" for name, value in settings.items()]
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write("".join([text, "\n", *lines]))
        yield
    finally:
        path.unlink(missing_ok=True)
        for name in _BEANS:
            (data_dir / name).unlink(missing_ok=True)


def _escape(value: str) -> str:
    """Write a value as a Java properties file wants it, which is as in JSON, safe from Spring's `${...}`."""
    return json.dumps(value.replace("${", "\\${"))[1:-1]


@contextmanager
def _open_log(path: Path) -> Iterator[int]:
    if path.exists() and path.stat().st_size > _ROTATE_AT:
        for age in range(_KEEP_LOGS - 1, 0, -1):
            older = path.with_suffix(f".log.{age}")
            if older.exists():
                os.replace(older, path.with_suffix(f".log.{age + 1}"))
        os.replace(path, path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
