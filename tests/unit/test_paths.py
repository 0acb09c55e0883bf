"""The paths below `agentspan.agents` that scripts import from."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import agentspan.agents

FOLDER = Path(agentspan.agents.__file__).parent
PATHS = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py" or path.parent != FOLDER
)


@pytest.mark.parametrize("path", [path for path in PATHS if not path.rpartition(".")[2].startswith("_")])
def test_a_path_has_the_very_names_of_the_package(path: str) -> None:
    module = import_module(f"agentspan.agents.{path}")
    for name in set(module.__all__) & set(agentspan.agents.__all__):
        assert getattr(module, name) is getattr(agentspan.agents, name), name


IMPORTS = [
    "from agentspan.agents import tool, run",
    "from agentspan.agents.tool import tool\nfrom agentspan.agents.run import run",
    "import agentspan.agents.tool, agentspan.agents.run\nfrom agentspan.agents import tool, run",
    "from agentspan.agents import run, tool\nimport agentspan.agents.run, agentspan.agents.tool",
    "from agentspan import tool\nimport agentspan.agents.tool\nfrom agentspan.agents.run import run",
]


@pytest.mark.parametrize("imports", IMPORTS)
def test_a_function_stays_one_when_the_module_of_its_name_is_imported(imports: str) -> None:
    script = f"""
{imports}
import agentspan.agents
assert agentspan.agents.tool is tool and agentspan.agents.run is run
@agentspan.agents.tool
def add(a: int) -> int: ...
assert run.__name__ == "run" and add.name == "add"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_declares_loads_no_client() -> None:
    script = """
import sys
from agentspan.agents.tool import tool
from agentspan.agents.agent import Agent
assert not [name for name in sys.modules if name.startswith(("conductor", "httpx"))]
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_takes_other_modules() -> None:
    module = import_module("agentspan.agents.runtime")
    assert isinstance(module, ModuleType)
    assert agentspan.agents.runtime is module
