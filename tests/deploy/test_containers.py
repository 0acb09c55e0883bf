"""The files of docker/ are valid, and agree with the code; docs/deploy.md says what was tried by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pytest_docker.plugin import DockerComposeExecutor

from agentspan.cli import main
from agentspan.runtime.runtime import DRAIN
from agentspan.stored.names import tool_task_name

DOCKER = Path(__file__).parents[2] / "docker"
DOCS = DOCKER.parent / "docs" / "deploy.md"


@pytest.mark.parametrize("profile", [None, "metrics"])
def test_compose_takes_its_file(docker_compose_command: str, profile: str | None) -> None:
    compose = DockerComposeExecutor(docker_compose_command, str(DOCKER / "compose.yaml"), "checked")
    told = compose.execute(f"--profile {profile} config" if profile else "config", ignore_stderr=True)

    services = yaml.safe_load(told)["services"]
    assert {"postgres", "conductor-1", "conductor-2", "worker"} <= set(services)
    assert profile is None or profile in services["prometheus"]["profiles"]


def manifests() -> dict[str, Any]:
    found = [doc for path in (DOCKER / "kubernetes").glob("*.yaml") for doc in yaml.safe_load_all(path.read_text())]
    return {f"{doc['kind']} {doc['metadata']['name']}": doc for doc in found}


def compose() -> Any:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_workers_get_the_time_that_they_need_to_drain() -> None:
    pod = manifests()["Deployment worker"]["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] > DRAIN + 5
    assert int(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")) > DRAIN + 5


def test_a_rolling_update_is_the_one_of_the_docs() -> None:
    worker = manifests()["Deployment worker"]["spec"]
    update = worker["strategy"]["rollingUpdate"]
    told = re.findall(r"\b(maxSurge|maxUnavailable|terminationGracePeriodSeconds): (\d+)", DOCS.read_text())

    assert update == {"maxSurge": 1, "maxUnavailable": 0}, "a new worker serves before an old one is told to go"
    grace = worker["template"]["spec"]["terminationGracePeriodSeconds"]
    assert {name: int(number) for name, number in told} == {**update, "terminationGracePeriodSeconds": grace}


def test_workers_name_the_nodes_and_no_balancer() -> None:
    nodes = manifests()["StatefulSet conductor"]
    name, service = nodes["metadata"]["name"], nodes["spec"]["serviceName"]
    environment = manifests()["Deployment worker"]["spec"]["template"]["spec"]["containers"][0]["env"]
    (given,) = [variable["value"] for variable in environment if variable["name"] == "AGENTSPAN_SERVER_URL"]
    addresses = [f"http://{name}-{number}.{service}:8080" for number in range(nodes["spec"]["replicas"])]

    assert len(addresses) > 1
    assert given.split(",") == addresses
    assert manifests()[f"Service {service}"]["spec"]["clusterIP"] == "None", "it is headless"
    composed = compose()["services"]["worker"]["environment"]["AGENTSPAN_SERVER_URL"]
    assert composed == "http://conductor-1:8080,http://conductor-2:8080"


def test_probes_are_commands_that_exist() -> None:
    container = manifests()["Deployment worker"]["spec"]["template"]["spec"]["containers"][0]
    dockerfile = (DOCKER / "worker.Dockerfile").read_text()
    health = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert health is not None
    start = [*yaml.safe_load(re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.MULTILINE)[0]), *container["args"]]

    probes = [container[probe]["exec"]["command"] for probe in ("readinessProbe", "livenessProbe")]
    for words in (*probes, yaml.safe_load(health[1]), start):
        assert words[0] == "agentspan"
        context = main.make_context("agentspan", list(words[1:]))
        group = main.get_command(context, "worker")
        assert isinstance(group, click.Group)
        command = group.get_command(context, words[2])
        assert command is not None
        command.make_context(words[2], list(words[3:]))


def test_workers_do_not_run_as_root() -> None:
    pod = manifests()["Deployment worker"]["spec"]["template"]["spec"]
    user = re.findall(r"^USER (\d+)$", (DOCKER / "worker.Dockerfile").read_text(), re.MULTILINE)

    assert user == [str(pod["securityContext"]["runAsUser"])]
    assert user != ["0"]
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_no_secret_stands_in_a_file_or_in_the_server_s_environment() -> None:
    services = compose()["services"]
    pod = manifests()["StatefulSet conductor"]["spec"]["template"]["spec"]

    assert all("environment" not in services[name] for name in ("conductor-1", "conductor-2"))
    assert "env" not in pod["containers"][0]
    assert pod["enableServiceLinks"] is False
    for variable in manifests()["Deployment worker"]["spec"]["template"]["spec"]["containers"][0]["env"]:
        assert "value" not in variable or variable["name"] == "AGENTSPAN_SERVER_URL"


def test_scaling_looks_at_a_queue_that_a_worker_serves() -> None:
    (trigger,) = manifests()["ScaledObject worker"]["spec"]["triggers"]
    name = tool_task_name("feedback", "read_chunk")

    assert trigger["metadata"]["url"].endswith(f"/api/tasks/queue/sizes?taskType={name}")
    assert trigger["metadata"]["valueLocation"] == name.replace(".", r"\.")
    assert manifests()["Deployment worker"]["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "feedback.py:agent"
    ]
