"""What an installation weighs, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.contestants import ROOT, Name
from benchmarks.lab import Benchmark, Lab, Sample
from benchmarks.report import Row, Target

MB = 1e6

REQUIREMENTS = {"agentspan": str(ROOT), "peer": "conductor-python[agents]>=2.0,<3"}
MODULES = {"agentspan": "agentspan.agents", "peer": "conductor.ai.agents"}

_IMPORT = """
import sys, time
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun, sum(name.partition(".")[0] == "conductor" for name in sys.modules))
"""


class Weight(Benchmark):
    """Installed, imported, asked for help."""

    name = "weight"
    summary = (
        "What is installed without extras, and how long it takes to be there. The files are in the system's cache."
    )
    contestants = ("agentspan", "peer")
    needs_server = False

    @property
    def rows(self) -> list[Row]:
        return [
            Row("import", "importing the public module", "ms", (Target(150),)),
            Row("conductor-modules", "modules of conductor-python that come with it", "", (Target(0),)),
            Row("help", "agentspan --help", "ms", (Target(150),)),
            Row("python", "of this, Python that does nothing", "ms"),
            Row("distributions", "distributions installed", "", (Target(30),)),
            Row("size", "their size", "MB"),
        ]

    def measure(self, lab: Lab, name: Name) -> Iterator[Sample]:
        times = 3 if self.quick else 10
        with tempfile.TemporaryDirectory(prefix="agentspan-benchmark-") as folder:
            python = _environment(Path(folder), REQUIREMENTS[name])
            script = _IMPORT.format(module=MODULES[name])
            _output(python, "-c", script)  # compiles the modules
            imports = [_output(python, "-c", script).split() for _ in range(times)]
            yield "import", median(1000 * float(seconds) for seconds, _ in imports)
            yield "conductor-modules", float(imports[0][1])
            if name == "agentspan":
                command = python.with_name("agentspan")
                _output(command, "--help")
                yield "help", median(_milliseconds(command, "--help") for _ in range(times))
            yield "python", median(_milliseconds(python, "-c", "pass") for _ in range(times))
            installed = json.loads(_uv("pip", "list", "--format", "json", "--python", python))
            yield "distributions", len(installed)
            yield "size", sum(path.stat().st_size for path in _installed(Path(folder))) / MB


def _installed(folder: Path) -> Iterator[Path]:
    """The files of the packages, without what Python made of them."""
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    return (path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _environment(folder: Path, requirement: str) -> Path:
    """Install something into an environment of its own; its Python."""
    _uv("venv", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _uv("pip", "install", "--python", python, requirement)
    return python


def _uv(*arguments: str | Path) -> str:
    return _output(os.environ.get("UV", "uv"), *arguments)


def _milliseconds(*command: str | Path) -> float:
    begun = time.perf_counter()
    _output(*command)
    return 1000 * (time.perf_counter() - begun)


def _output(*command: str | Path) -> str:
    # Elsewhere than in this checkout, whose packages and settings must not be found.
    done = subprocess.run(command, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
