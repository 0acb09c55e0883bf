"""pytest fixtures: a real Conductor server and models that follow a script.

Loaded by pytest itself wherever agentspan is installed with its `testing` extra. A test of an agent:

    def test_weather(runtime, model):
        agent = Agent("weather", model=model.play([call("forecast", city="Oslo"), say("Rain.")]), tools=[forecast])
        assert runtime.run(agent, "Oslo?").output == "Rain."
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from agentspan.agents import AgentRuntime
from agentspan.server import LocalServer
from agentspan.server._providers import model_settings
from agentspan.testing._conversation import ModelRequest
from agentspan.testing._docker import docker_server
from agentspan.testing._replies import Reply
from agentspan.testing._scripted import Script, ScriptedModel, as_function

_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the fixtures."""
    group = parser.getgroup("agentspan")
    group.addoption(
        "--conductor",
        default="jar",
        help="The Conductor server to test on: jar (an embedded one, the default), docker (a container, through "
        "pytest-docker), or the URL of one whose "
        "OpenAI and Anthropic base URLs point at --model-port.",
    )
    group.addoption("--model-port", type=int, default=0, help="Port of the scripted model; 0 takes a free one.")


@dataclass
class Stage:
    """One scripted model server for many scripts, told apart by the model's name."""

    server: ScriptedModel
    _scripts: dict[str, Script] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self, script: Script, provider: str = "openai", name: str | None = None) -> str:
        """Let a model follow `script`; what to give as `Agent(model=…)`.

        Args:
            script: What it answers.
            provider: Whose HTTP it speaks: openai or anthropic.
            name: The model's name, such as `gpt-4o`; a new one unless given.
        """
        name = name or f"scripted-{next(_numbers)}"
        with self._lock:
            self._scripts[name] = script
        return f"{provider}/{name}"

    def requests(self, model: str) -> list[ModelRequest]:
        """What the model was asked, in order."""
        name = model.partition("/")[2]
        return [request for request in self.server.requests if request.model == name]

    def reply(self, request: ModelRequest) -> Reply:
        """The reply of the script that belongs to the request's model."""
        with self._lock:
            script = self._scripts[request.model]
        return as_function(script)(request)


@pytest.fixture(scope="session")
def model_stage(pytestconfig: pytest.Config) -> Iterator[Stage]:
    """The session's scripted model server."""
    stage: list[Stage] = []
    server = ScriptedModel(lambda request: stage[0].reply(request), port=pytestconfig.getoption("--model-port"))
    stage.append(Stage(server))
    server.start()
    yield stage[0]
    server.stop()


@pytest.fixture
def model(model_stage: Stage) -> Iterator[Stage]:
    """Scripted models; the test fails when a script raised, or a request broke the provider's rules."""
    before = len(model_stage.server.errors)
    yield model_stage
    errors = model_stage.server.errors[before:]
    if errors:
        raise ExceptionGroup("The scripted model met errors", errors)


@pytest.fixture(scope="session")
def conductor_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model_stage: Stage
) -> Iterator[str]:
    """The address of a real Conductor server, started for the session unless one was given."""
    given = str(request.config.getoption("--conductor"))
    folder = tmp_path_factory.mktemp("conductor")
    if given == "docker":
        compose: str = request.getfixturevalue("docker_compose_command")
        with docker_server(compose, folder, model_settings({}, model_stage.server.model_urls)) as url:
            yield url
        return
    if given != "jar":
        yield given
        return
    server = LocalServer(folder, port=0, model_urls=model_stage.server.model_urls)
    server.prepare()  # once per machine: half a minute or more, repaid by the quick restarts of crash tests
    with server:
        yield server.url


@pytest.fixture
def runtime(conductor_url: str) -> Iterator[AgentRuntime]:
    """A runtime on the session's server; its worker host stops with the test."""
    with AgentRuntime(conductor_url) as opened:
        yield opened
