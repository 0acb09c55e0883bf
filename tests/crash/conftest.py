"""A ledger that outlives the workers that write it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentspan.server import LocalServer
from agentspan.testing import WorkerProcess
from agentspan.testing.plugin import Stage

HERE = Path(__file__).parent


@dataclass
class Ledger:
    """What the tools of `ledger_agent` wrote down, and workers that do."""

    path: Path
    url: str

    def entries(self, what: str) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        entries = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [entry for entry in entries if entry["what"] == what]

    def ended(self) -> Counter[int]:
        return Counter(entry["number"] for entry in self.entries("end"))

    def begun(self) -> Counter[int]:
        return Counter(entry["number"] for entry in self.entries("begin"))

    def worker(self) -> WorkerProcess:
        return WorkerProcess("ledger_agent:agent", self.url, environment={"LEDGER": str(self.path)}, cwd=HERE)


@pytest.fixture
def ledger(tmp_path: Path, conductor_url: str) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl", conductor_url)


@pytest.fixture
def server(tmp_path: Path, model_stage: Stage) -> Iterator[LocalServer]:
    """A server of the test's own, to be killed."""
    described = LocalServer(tmp_path / "server", port=0, model_urls=model_stage.server.model_urls)
    described.prepare()
    with described as started:
        yield started
