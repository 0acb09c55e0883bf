"""The definitions in workflow_defs/ are what the examples compile to, and what the server takes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, compile_agent

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def example(name: str) -> Agent:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", ROOT / "examples" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = module.agent
    assert isinstance(found, Agent)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_compiles_to_its_golden(name: str, pytestconfig: pytest.Config) -> None:
    compiled = compile_agent(example(name)).to_json()
    golden = ROOT / "workflow_defs" / f"{name}.json"
    if pytestconfig.getoption("--update-goldens"):
        golden.write_text(compiled, encoding="utf-8")

    assert golden.read_text(encoding="utf-8") == compiled, "review the change, then run pytest --update-goldens"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_compiling_gives_the_same_bytes_in_every_process(seed: str) -> None:
    script = "import agentspan, orders; print(agentspan.compile_agent(orders.agent).to_json(), end='')"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "examples"), "LC_ALL": "C"}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True, timeout=60
    ).stdout

    assert output.decode() == (ROOT / "workflow_defs" / "orders.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_server_takes_a_golden_and_gives_it_back(name: str, runtime: AgentRuntime) -> None:
    golden = json.loads((ROOT / "workflow_defs" / f"{name}.json").read_text(encoding="utf-8"))

    agent = example(name)
    versions = runtime._versions(agent)  # other tests have agents that are named as those that it calls
    version = versions[agent.name]

    for definition in compile_agent(agent, versions).at_version(version):
        assert_holds(runtime.client.workflow_definition(definition["name"], version), definition)
    for definition in golden["tasks"]:
        assert_holds(runtime.client.task_definition(definition["name"]), definition)


def assert_holds(found: Any, wanted: Any, where: str = "") -> None:
    """`found` is `wanted`, but for what the server fills in."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict), where
        for key, value in wanted.items():
            assert_holds(found.get(key), value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_holds(one, other, f"{where}[{index}]")
    else:
        assert found == wanted, where


def test_the_same_content_keeps_its_version_and_other_content_gets_the_next(runtime: AgentRuntime) -> None:
    first = Agent("versioned", model="openai/gpt-4o", instructions="One.")
    second = Agent("versioned", model="openai/gpt-4o", instructions="Two.")

    versions = [AgentRuntime(runtime.settings.server_url).register(agent) for agent in (first, second, first, second)]

    assert versions == [1, 2, 1, 2]
