"""A Conductor server in a container of the official image, for the tests of `--conductor=docker`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_docker.plugin import get_docker_services

from agentspan.server._engine import VERSION
from agentspan.server._health import read_health
from agentspan.server._launch import settings_file
from agentspan.server._process import free_port

IMAGE = f"conductoross/conductor:{VERSION}"
"""The image; AGENTSPAN_CONDUCTOR_IMAGE names another one."""

BOOT_SECONDS = 300.0


@contextmanager
def docker_server(compose: str, folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """Start the server with the embedded server's settings, and remove its container at the end; its address.

    It shares the network of this machine, on which models that follow a script are.

    Args:
        compose: The command of Docker Compose: pytest-docker's fixture `docker_compose_command`.
        folder: For its data and its log.
        settings: Its settings beside those of every embedded server.

    Raises:
        Exception: Compose cannot be run, or refuses; with what it says. pytest-docker has no kind of its own for it.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    folder.chmod(0o777)  # the image may run as another user
    with settings_file(folder, {**settings, "server.port": str(port)}):
        file = folder / "compose.yaml"
        file.write_text(json.dumps({"services": {"conductor": _service(folder)}}), encoding="utf-8")  # YAML, too
        for path in folder.iterdir():
            path.chmod(0o644)  # they are read by another user, and hold no real key
        project = f"agentspan-{port}"
        with get_docker_services(compose, str(file), project, ["up --detach"], ["down --volumes"]) as services:
            services.wait_until_responsive(lambda: read_health(url) is True, timeout=BOOT_SECONDS, pause=0.5)
            yield url


def _service(folder: Path) -> dict[str, object]:
    return {
        "image": os.environ.get("AGENTSPAN_CONDUCTOR_IMAGE", IMAGE),
        "network_mode": "host",
        "working_dir": "/conductor",
        "volumes": [f"{folder}:/conductor".replace("$", "$$")],
        "entrypoint": ["java", "-Xmx2g", "-jar", "/app/libs/conductor-server.jar"],
        "command": ["--spring.config.additional-location=file:./server.properties"],
    }
