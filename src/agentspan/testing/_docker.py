"""A Conductor server in a container of the official image, for the tests of `--conductor=docker`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentspan.errors import LocalServerError
from agentspan.server._engine import VERSION
from agentspan.server._health import read_health
from agentspan.server._launch import settings_file
from agentspan.server._process import free_port
from agentspan.testing._processes import wait_until

IMAGE = f"conductoross/conductor:{VERSION}"
"""The image; AGENTSPAN_CONDUCTOR_IMAGE names another one."""

BOOT_SECONDS = 300.0


@contextmanager
def docker_server(folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """Start the server with the embedded server's settings, and remove its container at the end; its address.

    It shares the network of this machine, on which models that follow a script are.

    Raises:
        LocalServerError: Docker is not there, or cannot start the image; with what it says.
    """
    port = free_port()
    folder.chmod(0o777)  # the image may run as another user
    with settings_file(folder, {**settings, "server.port": str(port)}):
        for path in folder.iterdir():
            path.chmod(0o644)  # they are read by another user, and hold no real key
        container = _docker(
            *("run", "--detach", "--network", "host", "--volume", f"{folder}:/conductor", "--workdir", "/conductor"),
            *("--entrypoint", "java", os.environ.get("AGENTSPAN_CONDUCTOR_IMAGE", IMAGE), "-Xmx2g", "-jar"),
            *("/app/libs/conductor-server.jar", "--spring.config.additional-location=file:./server.properties"),
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: read_health(url) is True, "the container to be healthy", BOOT_SECONDS)
            yield url
        finally:
            _docker("rm", "--force", "--volumes", container)


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LocalServerError("--conductor=docker needs the command docker", hint="install Docker") from error
    if done.returncode != 0:
        raise LocalServerError(f"docker {arguments[0]} failed: {done.stderr.strip()}", hint="is its engine running?")
    return done.stdout.strip()
