"""Options of this suite; the fixtures come from agentspan.testing.plugin."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import httpcore  # noqa: F401
import pytest

# What the client needs is loaded before any test: one that puts `sys.modules` back would leave two of each, and an
# error of the one is not an error of the other.
from agentspan.engine import client  # noqa: F401
from agentspan.server._providers import model_settings
from agentspan.testing.plugin import Stage

from .cluster.cluster import Cluster, NoPostgres
from .cluster.cluster import cluster as started_cluster
from .unit.little_site import Site, served

FIXTURES_WITH_A_SERVER = {"cluster", "conductor_url", "guarded", "server"}
FIXTURES_OF_A_RELEASE = {"dist", "empty_environment"}  # they build and install, for as long as a server takes to start


def pytest_configure() -> None:
    os.environ["AGENTSPAN_AUTOSTART"] = "0"  # what a test starts is in the test's own folder
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background jobs are deaf to Ctrl-C, and so would be the processes that tests interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the tests that take many minutes, too.")
    parser.addoption("--update-goldens", action="store_true", help="Write workflow_defs/ anew.")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="takes many minutes; run with --long")
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(skip)
        fixtures = set(getattr(item, "fixturenames", ()))  # also those that its fixtures ask for
        if fixtures & (FIXTURES_WITH_A_SERVER | FIXTURES_OF_A_RELEASE):
            item.add_marker(pytest.mark.server)


@pytest.fixture
def scripted_openai(model: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers of this process find the scripted models where they look for OpenAI's."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)


@pytest.fixture
def site() -> Iterator[Site]:
    """A web site on this machine."""
    with served() as found:
        yield found


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    """Docker's own plugin, or Debian's program of before; pytest-docker runs it."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return "docker compose"
    if shutil.which("docker-compose"):
        return "docker-compose"
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


def _cluster_scope(fixture_name: str, config: pytest.Config) -> str:
    """Two more servers slow everything else down, so they end with their module, unless all tests are for them."""
    return "session" if config.getoption("--conductor") == "cluster" else "module"


@pytest.fixture(scope=_cluster_scope)
def cluster(model_stage: Stage) -> Iterator[Cluster]:
    """Two nodes of the real server on one PostgreSQL."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(started_cluster(model_settings({}, model_stage.server.model_urls)))
        except NoPostgres as error:
            pytest.skip(f"No cluster: {error}")
        yield started


@pytest.fixture(scope="session")
def conductor_url(conductor_url: str, request: pytest.FixtureRequest) -> str:
    """The session's server; `--conductor=cluster` runs any test of this suite on a cluster."""
    if conductor_url == "cluster":
        url: str = request.getfixturevalue("cluster").url
        return url
    return conductor_url
