"""Fetch the server's jar from Maven Central, or from a mirror of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pooch
import requests
from jgo.constants import MAVEN_CENTRAL_URL

from agentspan.errors import LocalServerError
from agentspan.server._progress import Progress

_HINT = (
    "check the network; AGENTSPAN_MAVEN_URL names a Maven mirror, "
    "AGENTSPAN_SERVER_JAR a jar that is already on this machine"
)
_CHUNK = 1 << 20


def fetch(folder: Path, artifact: str, sha256: str, on_progress: Progress) -> Path:
    """Return the jar in `folder`, downloaded unless it is there and intact.

    Args:
        folder: Where the jar is kept; it appears there complete and verified, or not at all.
        artifact: The jar's path below the repository's address.
        sha256: What its bytes must hash to.
        on_progress: Told how far the download is.

    Raises:
        LocalServerError: It cannot be downloaded, or what arrives is not the jar that is expected.
    """
    url = os.environ.get("AGENTSPAN_MAVEN_URL", MAVEN_CENTRAL_URL).rstrip("/")
    name = artifact.rsplit("/", 1)[-1]
    shelf = pooch.create(
        folder,
        base_url=f"{url}/{artifact.removesuffix(name)}",
        registry={name: f"sha256:{sha256}"},
        retry_if_failed=2,
    )
    pooch.get_logger().setLevel(logging.WARNING)
    meter = _Meter(on_progress)
    try:
        return Path(shelf.fetch(name, downloader=pooch.HTTPDownloader(progressbar=meter, chunk_size=_CHUNK)))
    except requests.RequestException as error:
        raise LocalServerError(f"cannot download the server from {url}: {error}", hint=_HINT) from error
    except ValueError as error:
        raise LocalServerError(f"the server downloaded from {url} is damaged: {error}", hint=_HINT) from error


def is_intact(jar: Path, sha256: str) -> bool:
    """Whether the file hashes to what is expected of the server's jar."""
    return bool(pooch.file_hash(str(jar)) == sha256)


class _Meter:
    """What pooch expects of a progress bar, passed on to a `Progress`."""

    def __init__(self, on_progress: Progress) -> None:
        self._on_progress = on_progress
        self._done = 0
        self.total = 0

    def update(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._done = min(self._done + count, self.total)
        self._on_progress("downloading the server", self._done, self.total)

    def reset(self) -> None:
        """Start counting again, as pooch does before it reports the end."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""
